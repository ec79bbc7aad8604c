package identity

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"genba/server/database"
	"genba/server/problem"
)

// purpose is what a challenge was asked for. An answer to one is no answer to
// another.
type purpose string

const (
	forSignIn       purpose = "SIGN_IN"
	forEnrolment    purpose = "ENROLMENT"
	forAdding       purpose = "ADDING"
	forConfirmation purpose = "CONFIRMATION"
	forUnlocking    purpose = "UNLOCKING"
)

// challengeLife is how long a person may look for the reader.
const challengeLife = 2 * time.Minute

const maxChallenge = 1024

// challenge is a question to an authenticator, and the one thing that its answer
// is good for. It travels with the page, signed; only what was answered is
// stored, so that strangers who ask fill nothing.
type challenge struct {
	Purpose purpose   `json:"p"`
	User    string    `json:"u,omitempty"` // empty: whoever answers
	Action  Action    `json:"a,omitempty"`
	Subject string    `json:"s,omitempty"`
	Nonce   string    `json:"n"`
	Until   time.Time `json:"t"`

	token string
}

// Asked is what a page needs to ask an authenticator.
type Asked struct {
	// Challenge goes back with the answer.
	Challenge string
	// Options are the browser's own, as JSON.
	Options   string
	ExpiresAt time.Time
}

// macOf signs a challenge; bearers are signed with the same key, over other text.
func (p *Passkeys) macOf(body string) []byte { return p.key.MAC([]byte("challenge\n" + body)) }

func (i *Identity) asked(c challenge, options any) (*Asked, error) {
	c.Until = database.Instant(i.db.Now().Add(challengeLife))
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("ask for passkey: %w", err)
	}
	shown, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("ask for passkey: %w", err)
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return &Asked{
		Challenge: body + "." + base64.RawURLEncoding.EncodeToString(i.passkeys.macOf(body)),
		Options:   string(shown), ExpiresAt: c.Until,
	}, nil
}

// open reads a challenge that came back: ours, for this purpose, in time.
func (i *Identity) open(token string, p purpose) (*challenge, error) {
	if i.passkeys == nil {
		return nil, problem.New(problem.Unavailable)
	}
	body, mac, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxChallenge {
		return nil, problem.New(problem.PasskeyRefused)
	}
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(sum, i.passkeys.macOf(body)) {
		return nil, problem.New(problem.PasskeyRefused)
	}
	var c challenge
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(text, &c) != nil || c.Purpose != p || i.db.Now().After(c.Until) {
		return nil, problem.New(problem.PasskeyRefused)
	}
	c.token = token
	return &c, nil
}

type spentChallenge struct {
	Hash      []byte
	ExpiresAt time.Time
}

// spend takes a challenge out of the world: it is good for one answer. What ran
// out meanwhile is forgotten.
func (c *challenge) spend(tx *database.Tx) error {
	if err := tx.Where("expires_at < ?", tx.Now).Delete(&spentChallenge{}).Error; err != nil {
		return fmt.Errorf("spend challenge: %w", err)
	}
	made := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&spentChallenge{Hash: HashToken(c.token), ExpiresAt: c.Until})
	if made.Error != nil {
		return fmt.Errorf("spend challenge: %w", made.Error)
	}
	if made.RowsAffected == 0 {
		return problem.New(problem.PasskeyRefused)
	}
	return nil
}
