package identity

import (
	"context"
	"fmt"
	"sync"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// IdleLimit is the longest that a screen stays open though nobody does
	// anything; an agency may set less. It never closes while a session is watched.
	IdleLimit = MaxIdleMinutes * time.Minute
	// awakeEvery is how often it is written down that somebody is there.
	awakeEvery = 30 * time.Second
	maxAwake   = 10_000
)

// awake knows which logins watch a session, and when it was last written down
// that somebody is there.
type awake struct {
	mu      sync.Mutex
	watched map[string]int
	noted   map[string]time.Time
}

func (a *awake) watching(login string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.watched[login] > 0
}

// due tells whether to write again.
func (a *awake) due(login string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.noted[login]; ok && now.Sub(last) < awakeEvery && !now.Before(last) {
		return false
	}
	if len(a.noted) >= maxAwake {
		clear(a.noted)
	}
	a.noted[login] = now
	return true
}

// Watch says that the login watches a session that goes on: its screen stays
// open until the returned function is called, and from then on for the agency's limit.
func (i *Identity) Watch(login string) (end func()) {
	i.awake.mu.Lock()
	defer i.awake.mu.Unlock()
	i.awake.watched[login]++
	return sync.OnceFunc(func() {
		i.awake.mu.Lock()
		if i.awake.watched[login]--; i.awake.watched[login] <= 0 {
			delete(i.awake.watched, login)
		}
		delete(i.awake.noted, login)
		i.awake.mu.Unlock()
		// A database that is gone now locks the screen a little early.
		_ = i.StayAwake(context.Background(), login)
	})
}

// StayAwake notes that somebody is there: they did something, or look at live
// video. It opens no screen that is locked.
func (i *Identity) StayAwake(ctx context.Context, login string) error {
	now := i.db.Now()
	if login == "" || !i.awake.due(login, now) {
		return nil
	}
	err := i.db.Read(ctx).Model(&Login{}).Where("id = ? AND ended_at IS NULL AND locked_at IS NULL", login).Update("active_at", now).Error
	if err != nil {
		return fmt.Errorf("note that somebody is there: %w", err)
	}
	return nil
}

// Lock closes the actor's screen until they unlock it: what it showed is cut.
func (i *Identity) Lock(ctx context.Context, actor policy.Actor) error {
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		locked := tx.Model(&Login{}).Where("id = ? AND ended_at IS NULL AND locked_at IS NULL", actor.Login).Update("locked_at", tx.Now)
		if locked.Error != nil || locked.RowsAffected == 0 {
			return locked.Error
		}
		i.journal.Append(tx, aboutUser(actor.Agency, actor.ID, actor, journal.ScreenLocked, nil))
		i.cutAfter(tx, []string{actor.Login})
		return nil
	})
	if err != nil {
		return fmt.Errorf("lock screen: %w", err)
	}
	return nil
}

// BeginUnlock asks for a touch that opens the actor's own screen again.
func (i *Identity) BeginUnlock(ctx context.Context, actor policy.Actor) (*ToConfirm, error) {
	u, err := i.user(ctx, actor.Agency, actor.ID)
	if err != nil {
		return nil, err
	}
	l, err := i.login(ctx, actor.Login)
	if err != nil {
		return nil, err
	}
	keys, err := i.credentials(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	allowed, err := i.mayUsePassword(ctx, u)
	if err != nil {
		return nil, err
	}
	how := &ToConfirm{Password: allowed || l.Method == BySealed}
	if len(keys) > 0 {
		how.Asked, err = i.ask(challenge{Purpose: forUnlocking, User: u.ID, Subject: l.ID}, keys)
	}
	return how, err
}

// Unlock opens the actor's screen: with the passkey, with the password where
// one is allowed, and with the sealed password that this very login began with.
// CONFIRMATION_REFUSED, CONFIRMATION_MISSING, RATE_LIMITED.
func (i *Identity) Unlock(ctx context.Context, actor policy.Actor, in Confirmation) error {
	by, use, err := i.unlocked(ctx, actor, in)
	if problem.Is(err, problem.PasskeyRefused) {
		return problem.Wrap(problem.ConfirmationRefused, err)
	}
	if err != nil {
		return err
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := use(tx); err != nil {
			return err
		}
		opened := tx.Model(&Login{}).Where("id = ? AND ended_at IS NULL", actor.Login).Updates(map[string]any{"locked_at": nil, "active_at": tx.Now})
		if opened.Error != nil {
			return opened.Error
		}
		i.journal.Append(tx, aboutUser(actor.Agency, actor.ID, actor, journal.ScreenUnlocked, map[string]any{"by": by}))
		return nil
	})
	if problem.Is(err, problem.PasskeyRefused) {
		return problem.Wrap(problem.ConfirmationRefused, err)
	}
	if err != nil {
		return fmt.Errorf("unlock screen: %w", err)
	}
	return nil
}

func (i *Identity) unlocked(ctx context.Context, actor policy.Actor, in Confirmation) (by Method, use func(*database.Tx) error, err error) {
	nothing := func(*database.Tx) error { return nil }
	switch {
	case in == Confirmation{}:
		return "", nil, problem.New(problem.ConfirmationMissing)
	case in.Challenge != "" || in.Assertion != "":
		c, err := i.open(in.Challenge, forUnlocking)
		if err != nil {
			return "", nil, err
		}
		if c.User != actor.ID || c.Subject != actor.Login {
			return "", nil, problem.New(problem.PasskeyRefused)
		}
		t, err := i.touched(ctx, c, in.Assertion)
		if err != nil {
			return "", nil, i.noteRefusal(ctx, err)
		}
		return ByPasskey, t.use, nil
	}
	u, err := i.user(ctx, actor.Agency, actor.ID)
	if err != nil {
		return "", nil, err
	}
	by, hash, password := ByPassword, u.PasswordHash, in.Password
	l, err := i.login(ctx, actor.Login)
	if err != nil {
		return "", nil, err
	}
	if l.Method == BySealed {
		var opened []SealedPassword
		if err := i.db.Read(ctx).Limit(1).Find(&opened, "login_id = ?", l.ID).Error; err != nil {
			return "", nil, fmt.Errorf("read sealed password: %w", err)
		}
		if by, hash, password = BySealed, "", readCode(in.Password); len(opened) > 0 {
			hash = opened[0].Hash
		}
	} else if allowed, err := i.mayUsePassword(ctx, u); err != nil {
		return "", nil, err
	} else if !allowed {
		hash = ""
	}
	if hash == "" {
		return "", nil, problem.New(problem.PasswordNotAllowed)
	}
	match, err := i.guess(ctx, u.ID, password, hash)
	if err != nil {
		return "", nil, err
	}
	if !match {
		return "", nil, problem.New(problem.ConfirmationRefused)
	}
	return by, nothing, nil
}

func (i *Identity) login(ctx context.Context, id string) (*Login, error) {
	var l Login
	if err := i.db.Read(ctx).Take(&l, "id = ? AND ended_at IS NULL", id).Error; err != nil {
		return nil, notFound(err)
	}
	return &l, nil
}
