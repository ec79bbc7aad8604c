package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// BeginSignIn asks for any passkey that the authenticator has for this server
// (第8の1). What it answers does not depend on who there is.
func (i *Identity) BeginSignIn(_ context.Context) (*Asked, error) {
	return i.ask(challenge{Purpose: forSignIn}, nil)
}

// FinishSignIn starts a login with an authenticator's answer. A user name or an
// agency that was given has to be the passkey's own. PASSKEY_REFUSED,
// USER_SUSPENDED, RATE_LIMITED.
func (i *Identity) FinishSignIn(ctx context.Context, agencyCode, userName, token, answer string) (string, policy.Actor, error) {
	if TerminalOf(ctx) == nil {
		return "", policy.Actor{}, problem.New(problem.TerminalUnknown)
	}
	address := Address(ctx)
	if !i.byAddr.Allow(address) {
		return "", policy.Actor{}, problem.New(problem.RateLimited)
	}
	t, err := i.signedIn(ctx, agencyCode, userName, token, answer)
	if err == nil {
		var actor policy.Actor
		token, actor, err = i.startLogin(ctx, t.user, ByPasskey, func(tx *database.Tx, _ policy.Actor) error { return t.use(tx) })
		if err == nil {
			return token, actor, nil
		}
	}
	if problem.Is(err, problem.PasskeyRefused) {
		i.byAddr.Add(address)
	}
	return "", policy.Actor{}, err
}

func (i *Identity) signedIn(ctx context.Context, agencyCode, userName, token, answer string) (*touch, error) {
	c, err := i.open(token, forSignIn)
	if err != nil {
		return nil, err
	}
	t, err := i.touched(ctx, c, answer)
	if err != nil {
		return nil, i.noteRefusal(ctx, err)
	}
	if userName = strings.ToLower(strings.TrimSpace(userName)); userName != "" && userName != t.user.UserName {
		return nil, problem.New(problem.PasskeyRefused)
	}
	if agencyCode != "" {
		a, err := i.Agency(ctx, t.user.AgencyID)
		if err != nil {
			return nil, err
		}
		if a.Code != agencyCode {
			return nil, problem.New(problem.PasskeyRefused)
		}
	}
	return t, nil
}

// SealedPassword is an emergency password that a manager made ahead, with the
// reason, and sealed in an envelope.
type SealedPassword struct {
	ID       string
	AgencyID string
	UserID   string
	Hash     string
	Reason   string
	SealedBy string
	SealedAt time.Time
	// OpenedAt is when it was used up, LoginID the one login it opened.
	OpenedAt *time.Time
	LoginID  *string
}

// sealedLetters leaves out what is read wrongly from paper.
const sealedLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// Seal makes a person's sealed password; a former one is void. The password is
// shown this once, to be printed and sealed. REASON_MISSING.
func (i *Identity) Seal(ctx context.Context, actor policy.Actor, userID, reason string) (password string, s *SealedPassword, err error) {
	reason, err = needed(reason)
	if err != nil {
		return "", nil, err
	}
	password = grouped(randomLetters(sealedLetters, 20), 5)
	hash, err := argon2id.CreateHash(readCode(password), hashParams)
	if err != nil {
		return "", nil, fmt.Errorf("hash sealed password: %w", err)
	}
	err = i.onPerson(ctx, actor, userID, func(tx *database.Tx, u *User) error {
		s = &SealedPassword{ID: NewID(), AgencyID: u.AgencyID, UserID: u.ID, Hash: hash, Reason: reason, SealedBy: actor.ID, SealedAt: tx.Now}
		if err := tx.Where("user_id = ?", u.ID).Delete(&SealedPassword{}).Error; err != nil {
			return err
		}
		if err := tx.Create(s).Error; err != nil {
			return err
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.PasswordSealed, map[string]any{"reason": reason}))
		return nil
	})
	if err != nil {
		return "", nil, fmt.Errorf("seal password: %w", err)
	}
	return password, s, nil
}

// Sealed reads the sealed passwords of people of an agency.
func (i *Identity) Sealed(ctx context.Context, agency string, userIDs []string) (map[string]*SealedPassword, error) {
	var found []*SealedPassword
	if err := i.db.Read(ctx).Find(&found, "agency_id = ? AND user_id IN ?", agency, userIDs).Error; err != nil {
		return nil, fmt.Errorf("read sealed passwords: %w", err)
	}
	byUser := make(map[string]*SealedPassword, len(found))
	for _, s := range found {
		byUser[s.UserID] = s
	}
	return byUser, nil
}

// SignInSealed opens a sealed password: it starts one login, for one shift, is
// used up, and stands in the journal as an alarm. SIGN_IN_FAILED, USER_SUSPENDED,
// RATE_LIMITED.
func (i *Identity) SignInSealed(ctx context.Context, agencyCode, userName, password string) (token string, actor policy.Actor, err error) {
	if TerminalOf(ctx) == nil {
		return "", actor, problem.New(problem.TerminalUnknown)
	}
	userName = strings.ToLower(strings.TrimSpace(userName))
	if !userNameForm.MatchString(userName) || len(password) > maxPassword || (agencyCode != "" && !agencyCodeForm.MatchString(agencyCode)) {
		return "", actor, problem.New(problem.SignInFailed)
	}
	u, err := i.findUser(ctx, agencyCode, userName)
	if err != nil {
		return "", actor, err
	}
	account, hash := agencyCode+"/"+userName, i.decoy
	var s *SealedPassword
	if u != nil {
		account = u.ID
		found, err := i.Sealed(ctx, u.AgencyID, []string{u.ID})
		if err != nil {
			return "", actor, err
		}
		if s = found[u.ID]; s != nil && s.OpenedAt == nil {
			hash = s.Hash
		}
	}
	match, err := i.guess(ctx, account, readCode(password), hash)
	if err != nil {
		return "", actor, err
	}
	if !match || s == nil || hash != s.Hash {
		if u != nil {
			if err := i.refuseSignIn(ctx, u, BySealed); err != nil {
				return "", actor, err
			}
		}
		return "", actor, problem.New(problem.SignInFailed)
	}
	if u.Status != Active {
		return "", actor, problem.New(problem.Suspended)
	}
	return i.startLogin(ctx, u, BySealed, func(tx *database.Tx, self policy.Actor) error {
		var now SealedPassword
		err := tx.Lock().Take(&now, "id = ? AND opened_at IS NULL", s.ID).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return problem.Wrap(problem.SignInFailed, err) // opened or replaced meanwhile
		}
		if err != nil {
			return fmt.Errorf("open sealed password: %w", err)
		}
		now.OpenedAt, now.LoginID = &tx.Now, &self.Login
		if err := tx.Select("opened_at", "login_id").Updates(&now).Error; err != nil {
			return fmt.Errorf("open sealed password: %w", err)
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, self, journal.SealedPasswordOpened, map[string]any{"reason": now.Reason, "sealedAt": now.SealedAt, "sealedBy": now.SealedBy}))
		return nil
	})
}
