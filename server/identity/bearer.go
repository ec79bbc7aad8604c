package identity

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/problem"
)

// Use says what a bearer is for. A bearer for one use is refused for another.
type Use string

// The uses of bearers.
const (
	UseUpload  Use = "UPLOAD"  // tus, Object is the media file
	UsePublish Use = "PUBLISH" // WHIP
	UseWatch   Use = "WATCH"   // WHEP, Object is the viewing
	UseMedia   Use = "MEDIA"   // /media, Object is the viewing
	UseCode    Use = "CODE"    // join, Object is the link whose code was right
	UseExport  Use = "EXPORT"  // /exports, Object is the writing
)

// Lives of bearers.
const (
	BearerLife = 5 * time.Minute
	GrantLife  = 10 * time.Minute
)

const maxBearer = 1024

// Bearer is a short permission for one use, bound to a session and to whoever
// asked for it.
type Bearer struct {
	Use     Use          `json:"u"`
	Session string       `json:"s"`
	Object  string       `json:"o,omitempty"`
	Actor   policy.Actor `json:"a"`
	Until   time.Time    `json:"t"`
}

// mac authenticates; a key of the key store does.
type mac interface{ MAC(data []byte) []byte }

// Bearers mints and opens bearers. They are not stored: what they were given
// for is asked again where they are used.
type Bearers struct {
	key   mac
	clock database.Clock
}

// NewBearers signs with key.
func NewBearers(key mac, clock database.Clock) *Bearers { return &Bearers{key, clock} }

// Mint makes a bearer that lives for life.
func (s *Bearers) Mint(b Bearer, life time.Duration) (token string, until time.Time) {
	b.Until = database.Instant(s.clock.Now().Add(life))
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // plain fields only
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return body + "." + base64.RawURLEncoding.EncodeToString(s.key.MAC([]byte(body))), b.Until
}

// Open checks a token for a use. BEARER_INVALID.
func (s *Bearers) Open(token string, use Use) (Bearer, error) {
	var b Bearer
	body, mac, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxBearer {
		return b, problem.New(problem.BearerInvalid)
	}
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(sum, s.key.MAC([]byte(body))) {
		return b, problem.New(problem.BearerInvalid)
	}
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(text, &b) != nil || b.Use != use || s.clock.Now().After(b.Until) {
		return Bearer{}, problem.New(problem.BearerInvalid)
	}
	return b, nil
}
