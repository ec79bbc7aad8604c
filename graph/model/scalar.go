package model

import (
	"encoding/json"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"genba/server/problem"
)

// MarshalInt64 writes a whole number as a JSON number.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 reads a whole number. BAD_INPUT.
func UnmarshalInt64(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, problem.New(problem.BadInput)
}

// MarshalText writes a scalar that is text: a day, a cursor.
func MarshalText(s string) graphql.Marshaler {
	return graphql.MarshalString(s)
}

// UnmarshalText reads text; its reader says what it must look like. BAD_INPUT.
func UnmarshalText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", problem.New(problem.BadInput)
	}
	return s, nil
}
