package graph

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"genba/graph/model"
	"genba/server/cases"
	"genba/server/identity"
	"genba/server/problem"
)

const (
	defaultPage = 50
	maxPage     = 100
	maxPlace    = 128
)

// pageSize reads first: 1 to 100.
func pageSize(first *int) (int, error) {
	if first == nil {
		return defaultPage, nil
	}
	if *first < 1 || *first > maxPage {
		return 0, problem.New(problem.BadInput)
	}
	return *first, nil
}

// place writes where a row stands in its order.
func place(at time.Time, id string) string {
	return encode(strconv.FormatInt(at.UnixMicro(), 10) + " " + id)
}

// parsePlace reads it back; nil means from the start. BAD_CURSOR.
func parsePlace(after *string) (*cases.Place, error) {
	text, err := decode(after)
	if err != nil || text == "" {
		return nil, err
	}
	micro, id, ok := strings.Cut(text, " ")
	at, err := strconv.ParseInt(micro, 10, 64)
	if _, bad := identity.ParseID(id); !ok || err != nil || bad != nil {
		return nil, problem.New(problem.BadCursor)
	}
	return &cases.Place{At: time.UnixMicro(at).UTC(), ID: id}, nil
}

// parseNumber reads a place in an order of numbers; 0 means from the start.
func parseNumber(after *string) (int64, error) {
	text, err := decode(after)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, problem.New(problem.BadCursor)
	}
	return n, nil
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(after *string) (string, error) {
	if after == nil || *after == "" {
		return "", nil
	}
	if len(*after) > maxPlace {
		return "", problem.New(problem.BadCursor)
	}
	b, err := base64.RawURLEncoding.DecodeString(*after)
	if err != nil {
		return "", problem.Wrap(problem.BadCursor, err)
	}
	return string(b), nil
}

// paged is one page of rows with their places. Rooms are asked for one row more
// than the page holds, to know whether another page follows.
func paged[T any](rows []T, size int, further bool, placeOf func(T) string) ([]T, []string, *model.PageInfo) {
	info := &model.PageInfo{HasPreviousPage: further, HasNextPage: len(rows) > size}
	rows = rows[:min(len(rows), size)]
	places := make([]string, len(rows))
	for i, r := range rows {
		places[i] = placeOf(r)
	}
	if len(places) > 0 {
		info.StartCursor, info.EndCursor = &places[0], &places[len(places)-1]
	}
	return rows, places, info
}
