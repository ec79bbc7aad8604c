// Package model holds the GraphQL types that are no room's own: payloads and
// connections, generated, and the scalars' forms.
package model

import (
	"fmt"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

const timeForm = "2006-01-02T15:04:05.999999Z"

// MarshalTime writes an instant in UTC, RFC 3339, microseconds.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, `"`+t.UTC().Format(timeForm)+`"`) // the answer's buffer takes everything
	})
}

// UnmarshalTime reads RFC 3339 with any offset.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("time must be a string")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("time must be RFC 3339")
	}
	return t, nil
}
