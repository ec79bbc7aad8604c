package journal

import (
	"encoding/base64"
	"fmt"

	"genba/server/problem"
)

// Cursor is a place in an agency's journal and in its order of positions. To
// clients it is opaque.
type Cursor struct{ Entries, Positions int64 }

// String is the form clients hold.
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "1.%d.%d", c.Entries, c.Positions))
}

const maxCursor = 64

// ParseCursor reads what String wrote; anything else is BAD_CURSOR.
func ParseCursor(s string) (Cursor, error) {
	var c Cursor
	if len(s) > maxCursor {
		return c, problem.New(problem.BadCursor)
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return c, problem.New(problem.BadCursor)
	}
	if _, err := fmt.Sscanf(string(b), "1.%d.%d", &c.Entries, &c.Positions); err != nil || c.String() != s || c.Entries < 0 || c.Positions < 0 {
		return Cursor{}, problem.New(problem.BadCursor)
	}
	return c, nil
}
