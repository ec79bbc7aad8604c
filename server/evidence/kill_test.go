package evidence_test

import "errors"

func runChild(spec string) error { return errors.New(spec) }
