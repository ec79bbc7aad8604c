package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxReason = 500
	// idleCredential is after how long a credential counts as one that nobody
	// uses (第7の2).
	idleCredential = 90 * 24 * time.Hour
	maxUnused      = 200
	maxTasks       = 200
)

// needed is a reason that has to be given.
func needed(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return "", problem.New(problem.ReasonMissing)
	}
	if !cleanText(reason, maxReason) {
		return "", problem.New(problem.BadInput)
	}
	return reason, nil
}

func (i *Identity) user(ctx context.Context, agency, id string) (*User, error) {
	var u User
	if err := i.db.Read(ctx).Take(&u, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &u, nil
}

// person locks one of those whom the agency's manager registers (第7の1):
// supervisors and dispatchers, not managers. NOT_FOUND, FORBIDDEN, USER_REMOVED.
func person(tx *database.Tx, actor policy.Actor, id string) (*User, error) {
	var u User
	if err := tx.Lock().Take(&u, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	if u.Role == policy.Manager {
		return nil, problem.New(problem.Forbidden)
	}
	if u.Status == Removed {
		return nil, problem.New(problem.UserRemoved)
	}
	return &u, nil
}

// onPerson changes a person in one transaction.
func (i *Identity) onPerson(ctx context.Context, actor policy.Actor, id string, change func(*database.Tx, *User) error) error {
	return i.db.InTx(ctx, func(tx *database.Tx) error {
		u, err := person(tx, actor, id)
		if err != nil {
			return err
		}
		return change(tx, u)
	})
}

// LastSeen tells when people were last seen at a console.
func (i *Identity) LastSeen(ctx context.Context, agency string, userIDs []string) (map[string]*time.Time, error) {
	var found []struct {
		UserID string
		SeenAt time.Time
	}
	err := i.db.Read(ctx).Raw(`SELECT logins.user_id, logins.seen_at FROM logins JOIN users ON users.id = logins.user_id
		WHERE users.agency_id = ? AND logins.user_id IN ? AND NOT EXISTS (
			SELECT 1 FROM logins AS later WHERE later.user_id = logins.user_id AND (later.seen_at, later.id) > (logins.seen_at, logins.id))`, agency, userIDs).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read when people were seen: %w", err)
	}
	byUser := make(map[string]*time.Time, len(found))
	for _, f := range found {
		byUser[f.UserID] = &f.SeenAt
	}
	return byUser, nil
}

// NewPerson describes somebody whom a manager registers.
type NewPerson struct {
	UserName    string
	DisplayName string
	Role        policy.Role
	// PasswordReason allows a password, and says why (第8の1). Empty: passkey only.
	PasswordReason string
}

// RegisterPerson adds a supervisor or dispatcher to the manager's agency (第7の1)
// and answers the code with which they enrol, shown this once. ALREADY_EXISTS,
// BAD_INPUT.
func (i *Identity) RegisterPerson(ctx context.Context, actor policy.Actor, in NewPerson) (u *User, code string, e *Enrolment, err error) {
	in.UserName, in.DisplayName = strings.ToLower(strings.TrimSpace(in.UserName)), strings.TrimSpace(in.DisplayName)
	in.PasswordReason = strings.TrimSpace(in.PasswordReason)
	if !userNameForm.MatchString(in.UserName) || in.DisplayName == "" || !cleanText(in.DisplayName, maxDisplayName) ||
		!registered(in.Role) || !cleanText(in.PasswordReason, maxReason) {
		return nil, "", nil, problem.New(problem.BadInput)
	}
	u = &User{
		ID: NewID(), AgencyID: actor.Agency, UserName: in.UserName, DisplayName: in.DisplayName, Role: in.Role, Status: Active,
		PasswordReason: in.PasswordReason, CreatedAt: i.db.Now(),
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if u.PasswordReason != "" {
			if err := i.passwordsOff(tx.Context(), u.AgencyID); err != nil {
				return err
			}
		}
		if err := tx.Create(u).Error; err != nil {
			return err
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.UserRegistered, map[string]any{
			"userName": u.UserName, "displayName": u.DisplayName, "role": u.Role, "passwordReason": u.PasswordReason,
		}))
		code, e, err = i.issue(tx, actor, u)
		return err
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, "", nil, problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, "", nil, fmt.Errorf("register person: %w", err)
	}
	return u, code, e, nil
}

// registered tells whether a role is one that a manager gives.
func registered(r policy.Role) bool { return r == policy.Supervisor || r == policy.Dispatcher }

// Rename corrects a person's name.
func (i *Identity) Rename(ctx context.Context, actor policy.Actor, id, displayName string) (u *User, err error) {
	displayName = strings.TrimSpace(displayName)
	if displayName == "" || !cleanText(displayName, maxDisplayName) {
		return nil, problem.New(problem.BadInput)
	}
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		u = found
		if u.DisplayName == displayName {
			return nil
		}
		old := u.DisplayName
		u.DisplayName = displayName
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.UserChanged, map[string]any{"old": old, "new": displayName}))
		return tx.Model(u).Update("display_name", displayName).Error
	})
	return u, err
}

// SetRole makes a dispatcher a supervisor or the other way round (第7の1). The
// manager confirms it with a touch for this very person. Who had signed in signs
// in anew; a supervisor's own open sessions pass on.
func (i *Identity) SetRole(ctx context.Context, actor policy.Actor, id string, role policy.Role, in Confirmation) (*User, error) {
	if !registered(role) {
		return nil, problem.New(problem.BadInput)
	}
	u, err := i.user(ctx, actor.Agency, id)
	if err != nil {
		return nil, err
	}
	if u.Role == policy.Manager {
		return nil, problem.New(problem.Forbidden)
	}
	if u.Role == role {
		return u, nil
	}
	if err := i.Confirm(ctx, actor, ChangeRole, id, in); err != nil {
		return nil, err
	}
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		u = found
		old := u.Role
		u.Role = role
		if err := tx.Model(u).Update("role", role).Error; err != nil {
			return err
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.RoleChanged, map[string]any{"old": old, "new": role}))
		return i.endLogins(tx, u.ID)
	})
	return u, err
}

// SetPassword allows a person a password, with the reason (第8の1), or, with an
// empty reason, withdraws it: its hash is erased and whoever signed in with it
// is signed out.
func (i *Identity) SetPassword(ctx context.Context, actor policy.Actor, id, reason string) (u *User, err error) {
	reason = strings.TrimSpace(reason)
	if !cleanText(reason, maxReason) {
		return nil, problem.New(problem.BadInput)
	}
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		u = found
		if u.PasswordReason == reason {
			return nil
		}
		if reason != "" {
			if err := i.passwordsOff(tx.Context(), u.AgencyID); err != nil {
				return err
			}
		}
		t, said := journal.PasswordAllowed, map[string]any{"reason": reason}
		if u.PasswordReason = reason; reason == "" {
			t, said, u.PasswordHash = journal.PasswordWithdrawn, nil, ""
			if err := i.endLogins(tx, u.ID, ByPassword); err != nil {
				return err
			}
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, t, said))
		return tx.Model(u).Select("password_reason", "password_hash").Updates(u).Error
	})
	return u, err
}

// Suspend keeps a person out until they are reinstated (第7の2): signed out
// everywhere at once, their open sessions pass to a supervisor. REASON_MISSING.
func (i *Identity) Suspend(ctx context.Context, actor policy.Actor, id, reason string) (u *User, err error) {
	if reason, err = needed(reason); err != nil {
		return nil, err
	}
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		if u = found; u.Status == Suspended {
			return nil
		}
		return i.putOut(tx, actor, u, Suspended, reason, journal.UserSuspended)
	})
	return u, err
}

// Reinstate lets a suspended person sign in again, with what they had.
func (i *Identity) Reinstate(ctx context.Context, actor policy.Actor, id string) (u *User, err error) {
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		if u = found; u.Status == Active {
			return nil
		}
		u.Status, u.StatusReason, u.StatusSince = Active, "", &tx.Now
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.UserReinstated, nil))
		return tx.Model(u).Select("status", "status_reason", "status_since").Updates(u).Error
	})
	return u, err
}

// Remove takes a person out for good (第7の2): keys and hashes are erased in the
// same transaction, and what is left to do at the terminals becomes tasks. The
// user name is free again. REASON_MISSING.
func (i *Identity) Remove(ctx context.Context, actor policy.Actor, id, reason string) (u *User, err error) {
	if reason, err = needed(reason); err != nil {
		return nil, err
	}
	err = i.onPerson(ctx, actor, id, func(tx *database.Tx, found *User) error {
		u = found
		var keys []*Credential
		if err := tx.Order("created_at, id").Find(&keys, "user_id = ?", u.ID).Error; err != nil {
			return err
		}
		for _, k := range keys {
			if err := i.eraseKey(tx, actor, k); err != nil {
				return err
			}
		}
		if err := tx.Where("user_id = ?", u.ID).Delete(&SealedPassword{}).Error; err != nil {
			return err
		}
		if err := tx.Where("user_id = ?", u.ID).Delete(&Enrolment{}).Error; err != nil {
			return err
		}
		u.PasswordHash, u.PasswordReason = "", ""
		name := u.UserName
		u.UserName = freed(name, u.ID)
		if err := tx.Model(u).Select("user_name", "password_hash", "password_reason").Updates(u).Error; err != nil {
			return err
		}
		return i.putOut(tx, actor, u, Removed, reason, journal.UserRemoved)
	})
	return u, err
}

// freed is a removed person's user name: nobody can type it, and another may
// have the former.
func freed(name, id string) string { return name + "~" + id }

// FormerName is the user name that somebody has or had.
func (u *User) FormerName() string {
	name, _, _ := strings.Cut(u.UserName, "~")
	return name
}

// putOut ends a person's work: their logins, and what they were at.
func (i *Identity) putOut(tx *database.Tx, actor policy.Actor, u *User, status UserStatus, reason string, t journal.Type) error {
	u.Status, u.StatusReason, u.StatusSince = status, reason, &tx.Now
	if err := tx.Model(u).Select("status", "status_reason", "status_since").Updates(u).Error; err != nil {
		return fmt.Errorf("put out: %w", err)
	}
	i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, t, map[string]any{"reason": reason}))
	if err := i.endLogins(tx, u.ID); err != nil {
		return err
	}
	heir, err := i.heir(tx, u)
	if err != nil {
		return err
	}
	for _, f := range i.leaving {
		if err := f(tx, actor, u, heir); err != nil {
			return err
		}
	}
	return nil
}

// OnLeaving adds what happens, in the same transaction, with the work of a
// person who was suspended or removed. The heir is the supervisor who takes it
// over; empty where the agency has none.
func (i *Identity) OnLeaving(f func(tx *database.Tx, actor policy.Actor, leaver *User, heir string) error) {
	i.leaving = append(i.leaving, f)
}

// heir is the supervisor who takes over: whoever was seen last among those who
// are signed in, else the one who was registered first.
func (i *Identity) heir(tx *database.Tx, u *User) (string, error) {
	candidates := tx.Model(&User{}).Select("id").Where("agency_id = ? AND role = ? AND status = ? AND id <> ?", u.AgencyID, policy.Supervisor, Active, u.ID)
	var seen []Login
	err := tx.Where("user_id IN (?) AND ended_at IS NULL AND created_at > ?", candidates, tx.Now.Add(-loginLife)).
		Order("seen_at DESC, id DESC").Limit(1).Find(&seen).Error
	if err != nil {
		return "", fmt.Errorf("find supervisor: %w", err)
	}
	if len(seen) > 0 {
		return seen[0].UserID, nil
	}
	var ids []string
	if err := candidates.Order("id").Limit(1).Pluck("id", &ids).Error; err != nil {
		return "", fmt.Errorf("find supervisor: %w", err)
	}
	return strings.Join(ids, ""), nil
}

// endLogins signs a person out everywhere; with methods, only where they signed
// in by one of them.
func (i *Identity) endLogins(tx *database.Tx, userID string, by ...Method) error {
	q := tx.Model(&Login{}).Where("user_id = ? AND ended_at IS NULL", userID)
	if len(by) > 0 {
		q = q.Where("method IN ?", by)
	}
	var ended []string
	if err := q.Session(&gorm.Session{}).Pluck("id", &ended).Error; err != nil {
		return fmt.Errorf("end logins: %w", err)
	}
	if len(ended) == 0 {
		return nil
	}
	if err := tx.Model(&Login{}).Where("id IN ?", ended).Update("ended_at", tx.Now).Error; err != nil {
		return fmt.Errorf("end logins: %w", err)
	}
	i.cutAfter(tx, ended)
	return nil
}

// RemoveCredential erases one passkey of a person of the agency, or of the
// manager's own: a broken reader, a terminal that is given away.
func (i *Identity) RemoveCredential(ctx context.Context, actor policy.Actor, id string) (u *User, err error) {
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		var k Credential
		if err := tx.Lock().Take(&k, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if k.UserID != actor.ID {
			if _, err := person(tx, actor, k.UserID); err != nil {
				return err
			}
		}
		u = &User{}
		if err := tx.Take(u, "id = ?", k.UserID).Error; err != nil {
			return err
		}
		if err := i.endLogins(tx, k.UserID, ByPasskey); err != nil && k.UserID != actor.ID {
			return err
		}
		return i.eraseKey(tx, actor, &k)
	})
	return u, err
}

// eraseKey erases a passkey and opens the task for the fingerprint that stays
// behind on its terminal.
func (i *Identity) eraseKey(tx *database.Tx, actor policy.Actor, k *Credential) error {
	if err := tx.Delete(k).Error; err != nil {
		return fmt.Errorf("erase passkey: %w", err)
	}
	t := FingerprintTask{ID: NewID(), AgencyID: k.AgencyID, UserID: k.UserID, Label: k.Label, OpenedAt: tx.Now}
	if err := tx.Create(&t).Error; err != nil {
		return fmt.Errorf("open fingerprint task: %w", err)
	}
	i.journal.Append(tx, aboutUser(k.AgencyID, k.UserID, actor, journal.PasskeyRemoved, map[string]any{"credential": k.ID, "label": k.Label}))
	i.journal.Append(tx, aboutUser(k.AgencyID, k.UserID, actor, journal.FingerprintTaskOpened, map[string]any{"task": t.ID}))
	return nil
}

// FingerprintTask reminds the manager to have a fingerprint deleted from the
// terminal that knew it (第7の2).
type FingerprintTask struct {
	ID       string
	AgencyID string
	UserID   string
	Label    string
	OpenedAt time.Time
	DoneAt   *time.Time
	DoneBy   string
}

// FingerprintTasks reads an agency's tasks: what is open first, then what was
// done, newest first.
func (i *Identity) FingerprintTasks(ctx context.Context, agency string) ([]*FingerprintTask, error) {
	var found []*FingerprintTask
	err := i.db.Read(ctx).Where("agency_id = ?", agency).Order("CASE WHEN done_at IS NULL THEN 0 ELSE 1 END, opened_at DESC, id DESC").Limit(maxTasks).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read fingerprint tasks: %w", err)
	}
	return found, nil
}

// TickFingerprintTask notes that the fingerprint is gone from the terminal.
// Ticking twice keeps the first time.
func (i *Identity) TickFingerprintTask(ctx context.Context, actor policy.Actor, id string) (*FingerprintTask, error) {
	var t FingerprintTask
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&t, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if t.DoneAt != nil {
			return nil
		}
		t.DoneAt, t.DoneBy = &tx.Now, actor.ID
		i.journal.Append(tx, aboutUser(t.AgencyID, t.UserID, actor, journal.FingerprintTaskDone, map[string]any{"task": t.ID}))
		return tx.Model(&t).Select("done_at", "done_by").Updates(&t).Error
	})
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// Unused is a credential that nobody uses (第7の2): a passkey, or, where Passkey
// is nil, a password. Since is when it was last used, or made.
type Unused struct {
	UserID  string
	Passkey *Credential
	Since   time.Time
	Never   bool
}

// UnusedCredentials lists the credentials of an agency's people that were not
// used for 90 days, or never since they were made a day ago or earlier.
func (i *Identity) UnusedCredentials(ctx context.Context, agency string) ([]*Unused, error) {
	now := i.db.Now()
	idle, made := now.Add(-idleCredential), now.Add(-24*time.Hour)
	var unused []*Unused
	var keys []*Credential
	err := i.db.Read(ctx).Where("agency_id = ? AND (used_at < ? OR used_at IS NULL AND created_at < ?)", agency, idle, made).
		Order("created_at, id").Limit(maxUnused).Find(&keys).Error
	if err != nil {
		return nil, fmt.Errorf("list unused passkeys: %w", err)
	}
	for _, k := range keys {
		n := &Unused{UserID: k.UserID, Passkey: k, Since: k.CreatedAt, Never: k.UsedAt == nil}
		if k.UsedAt != nil {
			n.Since = *k.UsedAt
		}
		unused = append(unused, n)
	}
	var people []*User
	recent := i.db.Read(ctx).Model(&Login{}).Select("user_id").Where("method = ? AND created_at >= ?", ByPassword, idle)
	err = i.db.Read(ctx).Where("agency_id = ? AND status <> ? AND password_hash <> '' AND created_at < ? AND id NOT IN (?)", agency, Removed, made, recent).
		Order("id").Limit(maxUnused).Find(&people).Error
	if err != nil {
		return nil, fmt.Errorf("list unused passwords: %w", err)
	}
	for _, u := range people {
		var last []Login
		if err := i.db.Read(ctx).Where("user_id = ? AND method = ?", u.ID, ByPassword).Order("created_at DESC").Limit(1).Find(&last).Error; err != nil {
			return nil, fmt.Errorf("list unused passwords: %w", err)
		}
		n := &Unused{UserID: u.ID, Since: u.CreatedAt, Never: len(last) == 0}
		if len(last) > 0 {
			n.Since = last[0].CreatedAt
		}
		unused = append(unused, n)
	}
	return unused, nil
}
