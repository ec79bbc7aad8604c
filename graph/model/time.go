// Package model holds the GraphQL types that are no room's own: payloads and
// connections, generated, and the scalars' forms.
package model

import (
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"genba/server/problem"
)

const timeForm = "2006-01-02T15:04:05.999999Z"

// MarshalTime writes an instant in UTC, RFC 3339, microseconds.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, `"`+t.UTC().Format(timeForm)+`"`) // the answer's buffer takes everything
	})
}

// Years that an instant may lie in: outside of them nothing happened here, and
// the engines differ.
const (
	firstYear = 1900
	lastYear  = 9990
)

// UnmarshalTime reads RFC 3339 with any offset. BAD_INPUT.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, problem.New(problem.BadInput)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}, problem.Wrap(problem.BadInput, err)
	}
	return t, nil
}
