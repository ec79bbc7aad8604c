package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Bounds of an enrolment code: it is read out and typed beside the manager.
const (
	EnrolmentLife    = 30 * time.Minute
	enrolmentLetters = 12 // 59 bits
	enrolmentTries   = 5
)

// Enrolment is a one-time code with which a person makes the first passkey.
type Enrolment struct {
	ID        string
	AgencyID  string
	UserID    string
	CodeHash  []byte
	Tries     int
	IssuedBy  string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

func (e *Enrolment) usable(now time.Time) bool {
	return e.Tries < enrolmentTries && now.Before(e.ExpiresAt)
}

// Enrolments reads the codes of people of an agency that are still usable.
func (i *Identity) Enrolments(ctx context.Context, agency string, userIDs []string) (map[string]*Enrolment, error) {
	var found []*Enrolment
	err := i.db.Read(ctx).Find(&found, "agency_id = ? AND user_id IN ? AND tries < ? AND expires_at > ?", agency, userIDs, enrolmentTries, i.db.Now()).Error
	if err != nil {
		return nil, fmt.Errorf("read enrolments: %w", err)
	}
	byUser := make(map[string]*Enrolment, len(found))
	for _, e := range found {
		byUser[e.UserID] = e
	}
	return byUser, nil
}

// issue makes a person's code in the caller's transaction; a former one is void.
func (i *Identity) issue(tx *database.Tx, actor policy.Actor, u *User) (code string, e *Enrolment, err error) {
	code = grouped(randomLetters(sealedLetters, enrolmentLetters), 4)
	e = &Enrolment{
		ID: NewID(), AgencyID: u.AgencyID, UserID: u.ID, CodeHash: hashCode(u.ID, code), IssuedBy: actor.ID, IssuedAt: tx.Now,
		ExpiresAt: database.Instant(tx.Now.Add(EnrolmentLife)),
	}
	if err := tx.Where("user_id = ?", u.ID).Delete(&Enrolment{}).Error; err != nil {
		return "", nil, fmt.Errorf("issue enrolment: %w", err)
	}
	if err := tx.Create(e).Error; err != nil {
		return "", nil, fmt.Errorf("issue enrolment: %w", err)
	}
	i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.EnrolmentIssued, map[string]any{"until": e.ExpiresAt}))
	return code, e, nil
}

// IssueEnrolment gives a person a new code (第7の1): for the first passkey, or
// for another one. It is shown this once.
func (i *Identity) IssueEnrolment(ctx context.Context, actor policy.Actor, userID string) (code string, e *Enrolment, u *User, err error) {
	err = i.onPerson(ctx, actor, userID, func(tx *database.Tx, found *User) (err error) {
		if found.Status != Active {
			return problem.New(problem.Suspended)
		}
		u = found
		code, e, err = i.issue(tx, actor, found)
		return err
	})
	return code, e, u, err
}

// Enrolling is what a person with a right code is shown.
type Enrolling struct {
	Asked *Asked
	User  *User
}

// BeginEnrolment checks a code and asks for a new passkey. An unknown person
// answers as a wrong code does. ENROLMENT_REFUSED, RATE_LIMITED.
func (i *Identity) BeginEnrolment(ctx context.Context, agencyCode, userName, code string) (*Enrolling, error) {
	if TerminalOf(ctx) == nil {
		return nil, problem.New(problem.TerminalUnknown)
	}
	userName, address := strings.ToLower(strings.TrimSpace(userName)), Address(ctx)
	if !userNameForm.MatchString(userName) || len(code) > maxPassword || (agencyCode != "" && !agencyCodeForm.MatchString(agencyCode)) {
		return nil, problem.New(problem.EnrolmentRefused)
	}
	if !i.codes.Allow(address) {
		return nil, problem.New(problem.RateLimited)
	}
	u, err := i.findUser(ctx, agencyCode, userName)
	if err != nil {
		return nil, err
	}
	var e *Enrolment
	if u != nil && u.Status == Active {
		if e, err = i.try(ctx, u, code); err != nil {
			return nil, err
		}
	}
	if e == nil {
		i.codes.Add(address)
		return nil, problem.New(problem.EnrolmentRefused)
	}
	asked, err := i.askNew(ctx, challenge{Purpose: forEnrolment, Subject: e.ID}, u)
	if err != nil {
		return nil, err
	}
	return &Enrolling{Asked: asked, User: u}, nil
}

// try compares a code, and counts a wrong one against it.
func (i *Identity) try(ctx context.Context, u *User, code string) (right *Enrolment, err error) {
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		var e Enrolment
		err := tx.Lock().Take(&e, "user_id = ?", u.ID).Error
		if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !e.usable(tx.Now) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read enrolment: %w", err)
		}
		if subtle.ConstantTimeCompare(e.CodeHash, hashCode(u.ID, code)) == 1 {
			right = &e
			return nil
		}
		if err := tx.Model(&e).Update("tries", e.Tries+1).Error; err != nil {
			return fmt.Errorf("count enrolment: %w", err)
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, policy.Actor{Kind: policy.Nobody}, journal.EnrolmentRefused, map[string]any{"left": enrolmentTries - e.Tries - 1}))
		return nil
	})
	return right, err
}

// NewKey is what a person enrols with: a passkey, a password where a manager
// allowed one, or both.
type NewKey struct {
	Challenge   string
	Attestation string
	Label       string
	Password    string
}

// FinishEnrolment keeps what the person enrolled with, uses the code up and signs
// them in. ENROLMENT_REFUSED, PASSKEY_REFUSED, PASSKEY_SYNCED,
// PASSKEY_NOT_LISTED, PASSWORD_NOT_ALLOWED, PASSWORD_TOO_SHORT.
func (i *Identity) FinishEnrolment(ctx context.Context, in NewKey) (token string, actor policy.Actor, err error) {
	c, err := i.open(in.Challenge, forEnrolment)
	if err != nil {
		return "", actor, err
	}
	var u User
	if err := i.db.Read(ctx).Take(&u, "id = ?", c.User).Error; err != nil {
		return "", actor, fmt.Errorf("find user: %w", err)
	}
	var k *Credential
	var hash string
	if in.Attestation == "" && in.Password == "" {
		return "", actor, problem.New(problem.BadInput)
	}
	if in.Attestation != "" {
		if k, err = i.made(ctx, c, &u, in.Attestation, in.Label); err != nil {
			return "", actor, err
		}
	}
	if in.Password != "" {
		if hash, err = i.newHash(ctx, &u, in.Password); err != nil {
			return "", actor, err
		}
	}
	return i.startLogin(ctx, &u, ByEnrolment, func(tx *database.Tx, self policy.Actor) error {
		if err := c.spend(tx); err != nil {
			return err
		}
		var e Enrolment
		err := tx.Lock().Take(&e, "id = ?", c.Subject).Error
		if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !e.usable(tx.Now) {
			return problem.New(problem.EnrolmentRefused) // replaced, used or too late
		}
		if err != nil {
			return fmt.Errorf("use enrolment: %w", err)
		}
		if err := tx.Delete(&e).Error; err != nil {
			return fmt.Errorf("use enrolment: %w", err)
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, self, journal.Enrolled, map[string]any{"passkey": k != nil, "password": hash != ""}))
		if hash != "" {
			set := tx.Model(&User{}).Where("id = ? AND password_reason <> ''", u.ID).Update("password_hash", hash)
			if set.Error != nil {
				return fmt.Errorf("set password: %w", set.Error)
			}
			if set.RowsAffected == 0 {
				return problem.New(problem.PasswordNotAllowed) // withdrawn meanwhile
			}
		}
		if k == nil {
			return nil
		}
		return i.keep(tx, self, k)
	})
}

// newHash is what is stored of a password that a person chose.
func (i *Identity) newHash(ctx context.Context, u *User, password string) (string, error) {
	a, err := i.Agency(ctx, u.AgencyID)
	if err != nil {
		return "", err
	}
	switch {
	case u.PasswordReason == "" || !a.Settings.Passwords:
		return "", problem.New(problem.PasswordNotAllowed)
	case utf8.RuneCountInString(password) < a.Settings.PasswordLength:
		return "", problem.New(problem.PasswordTooShort)
	case len(password) > maxPassword:
		return "", problem.New(problem.BadInput)
	}
	select {
	case i.hashing <- struct{}{}:
	case <-time.After(hashWait):
		return "", problem.New(problem.Unavailable)
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-i.hashing }()
	hash, err := argon2id.CreateHash(password, hashParams)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// hashCode is what is stored of a code. It is random and short-lived, so a plain
// digest is enough; the person is part of it.
func hashCode(user, code string) []byte {
	sum := sha256.Sum256([]byte(user + "\n" + readCode(code)))
	return sum[:]
}

// readCode reads a code as somebody types it from paper.
func readCode(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "", "　", "").Replace(s))
}

func randomLetters(from string, n int) string {
	var b strings.Builder
	for range n {
		at, _ := rand.Int(rand.Reader, big.NewInt(int64(len(from)))) // never fails
		b.WriteByte(from[at.Int64()])
	}
	return b.String()
}

// grouped puts a hyphen between groups of letters, as they are read out.
func grouped(s string, size int) string {
	var groups []string
	for ; len(s) > size; s = s[size:] {
		groups = append(groups, s[:size])
	}
	return strings.Join(append(groups, s), "-")
}
