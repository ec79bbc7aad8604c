// Package identity owns who there is: agencies with their settings, the people
// who sign in (第3, 第7), the terminals that they sign in at (第4の6), their logins, the throttle on guessing, and the short
// bearers that byte transports take. What anybody may do is policy's; what they
// do belongs to the rooms above.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Agency is one command centre's organisation: the tenant.
type Agency struct {
	ID        string
	Code      string
	NameJa    string
	NameEn    string
	Settings  Settings `gorm:"serializer:json"`
	Version   int64
	CreatedAt time.Time
}

// UserStatus says whether a user may sign in.
type UserStatus string

// The statuses of a user.
const (
	Active    UserStatus = "ACTIVE"
	Suspended UserStatus = "SUSPENDED"
	Removed   UserStatus = "REMOVED"
)

// User is a person who signs in (第3).
type User struct {
	ID             string
	AgencyID       string
	UserName       string
	DisplayName    string
	Role           policy.Role
	Status         UserStatus
	PasswordHash   string // empty: none was set
	PasswordReason string // empty: no password was allowed (第8の1)
	CreatedAt      time.Time
	// StatusReason and StatusSince say why and since when the status is what it
	// is, where it was changed.
	StatusReason string
	StatusSince  *time.Time
	// Operator says that the person runs the installation and is no agency's; the
	// role that is stored says nothing then.
	Operator bool
}

// AfterFind makes an operator's role what it is.
func (u *User) AfterFind(*gorm.DB) error {
	if u.Operator {
		u.Role = policy.OperatorRole
	}
	return nil
}

// HasPassword tells whether a password was allowed and set (第8の1).
func (u *User) HasPassword() bool { return u.PasswordHash != "" && u.PasswordReason != "" }

// Method is how somebody showed who they are.
type Method string

// The methods.
const (
	ByPassword  Method = "PASSWORD"
	ByPasskey   Method = "PASSKEY"
	ByEnrolment Method = "ENROLMENT"
	BySealed    Method = "SEALED"
)

// Login is one sign-in at a console.
type Login struct {
	ID        string
	UserID    string
	TokenHash []byte
	// TerminalID is the terminal it is bound to; nil for one from before there were
	// terminals, which is over.
	TerminalID *string
	Method     Method
	CreatedAt  time.Time
	SeenAt     time.Time
	// ActiveAt is when the person last did something, LockedAt when they locked
	// the screen by hand.
	ActiveAt *time.Time
	LockedAt *time.Time
	EndedAt  *time.Time
}

// Bounds of a sign-in.
const (
	loginLife          = 12 * time.Hour // one shift
	seenEvery          = time.Minute
	maxDisplayName     = 100
	minPassword        = 12
	maxPassword        = 200
	hashesAtOnce       = 2
	hashWait           = 5 * time.Second
	userFailures       = 5
	allFailures        = 20 // for a user from everywhere
	addressFailures    = 20
	failureWindow      = time.Minute
	tokenBytes         = 32
	maxAgenciesGuessed = 2   // enough to know that there is more than one
	maxAgencyName      = 200 // bytes
)

var (
	userNameForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,63}$`)
	agencyCodeForm = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)
)

// hashParams cost about 19 MiB and a tenth of a second a guess.
var hashParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Identity is the room. It is safe for concurrent use.
type Identity struct {
	db      *database.DB
	journal *journal.Journal
	hashing chan struct{}
	decoy   string
	byUser  *Failures // of one address
	byAll   *Failures // of all addresses
	byAddr  *Failures
	byCode  *Failures // terminal codes, of one address
	proofs  *proofs
	policy  *policy.Policy
	cut     func(logins []string)
	codes   *Failures // enrolment codes of one address

	passkeys *Passkeys
	awake    awake
	leaving  []func(tx *database.Tx, actor policy.Actor, leaver *User, heir string) error
}

// New opens the room.
func New(db *database.DB, j *journal.Journal) (*Identity, error) {
	decoy, err := argon2id.CreateHash(rand.Text(), hashParams)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	table, err := policy.New()
	if err != nil {
		return nil, err
	}
	return &Identity{
		policy: table, proofs: newProofs(db.Clock), byCode: NewFailures(db.Clock, addressFailures, failureWindow),
		db: db, journal: j, hashing: make(chan struct{}, hashesAtOnce), decoy: decoy,
		byUser: NewFailures(db.Clock, userFailures, failureWindow),
		byAll:  NewFailures(db.Clock, allFailures, failureWindow),
		byAddr: NewFailures(db.Clock, addressFailures, failureWindow),
		codes:  NewFailures(db.Clock, addressFailures, failureWindow),
		awake:  awake{watched: map[string]int{}, noted: map[string]time.Time{}},
	}, nil
}

// NewAgency describes an agency to create.
type NewAgency struct{ Code, NameJa, NameEn string }

// CreateAgency registers an agency with default settings. ALREADY_EXISTS.
func (i *Identity) CreateAgency(ctx context.Context, in NewAgency) (*Agency, error) {
	if !agencyCodeForm.MatchString(in.Code) || in.NameJa == "" || in.NameEn == "" || len(in.NameJa) > maxAgencyName || len(in.NameEn) > maxAgencyName {
		return nil, problem.New(problem.BadInput)
	}
	a := &Agency{ID: NewID(), Code: in.Code, NameJa: in.NameJa, NameEn: in.NameEn, Settings: DefaultSettings, Version: 1, CreatedAt: i.db.Now()}
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Create(a).Error; err != nil {
			return err
		}
		if err := i.keepVersion(tx, a, policy.SystemActor(), ""); err != nil {
			return err
		}
		i.journal.Append(tx, journal.Entry{
			Agency: a.ID, Actor: policy.SystemActor(), Type: journal.AgencyCreated,
			Subject: journal.Subject{Kind: policy.Agency, ID: a.ID}, Payload: map[string]any{"code": a.Code},
		})
		return nil
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create agency: %w", err)
	}
	return a, nil
}

// Agency reads one agency. NOT_FOUND.
func (i *Identity) Agency(ctx context.Context, id string) (*Agency, error) {
	q := i.db.Read(ctx)
	var a Agency
	if err := q.Take(&a, "id = ?", homeOf(id)).Error; err != nil {
		return nil, notFound(err)
	}
	a.Settings.Version = a.Version
	return &a, nil
}

// AgencyByCode reads one agency by its code; an empty code means the only one.
func (i *Identity) AgencyByCode(ctx context.Context, code string) (*Agency, error) {
	q := i.db.Read(ctx).Limit(maxAgenciesGuessed)
	if code != "" {
		q = q.Where("code = ?", code)
	} else {
		q = q.Where("id <> ?", Operators)
	}
	var found []Agency
	if err := q.Find(&found).Error; err != nil {
		return nil, fmt.Errorf("find agency: %w", err)
	}
	if len(found) != 1 {
		return nil, problem.New(problem.NotFound)
	}
	return &found[0], nil
}

// NewUser describes a user to register.
type NewUser struct {
	UserName    string
	DisplayName string
	Role        policy.Role
	// Password, and the reason why one is allowed (第8の1).
	Password       string
	PasswordReason string
}

// Register adds a user to an agency (第7の1). ALREADY_EXISTS, BAD_INPUT.
func (i *Identity) Register(ctx context.Context, actor policy.Actor, agency string, in NewUser) (*User, error) {
	in.UserName = strings.ToLower(strings.TrimSpace(in.UserName))
	switch {
	case agency == Operators,
		!userNameForm.MatchString(in.UserName),
		in.DisplayName == "" || utf8.RuneCountInString(in.DisplayName) > maxDisplayName,
		in.Role != policy.Manager && in.Role != policy.Supervisor && in.Role != policy.Dispatcher,
		utf8.RuneCountInString(in.Password) < minPassword || len(in.Password) > maxPassword,
		in.PasswordReason == "":
		return nil, problem.New(problem.BadInput)
	}
	hash, err := argon2id.CreateHash(in.Password, hashParams)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	u := &User{
		ID: NewID(), AgencyID: agency, UserName: in.UserName, DisplayName: in.DisplayName, Role: in.Role,
		Status: Active, PasswordHash: hash, PasswordReason: in.PasswordReason, CreatedAt: i.db.Now(),
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Create(u).Error; err != nil {
			return err
		}
		i.journal.Append(tx, journal.Entry{
			Agency: agency, Actor: actor, Type: journal.UserRegistered,
			Subject: journal.Subject{Kind: policy.Users, ID: u.ID}, Payload: map[string]any{"userName": u.UserName, "role": u.Role, "passwordReason": u.PasswordReason},
		})
		return nil
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("register user: %w", err)
	}
	return u, nil
}

// SignIn checks a password and starts a login; the token goes into the
// console's cookie and is nowhere else. SIGN_IN_FAILED says nothing about which
// part was wrong; RATE_LIMITED after five failures a minute for a user from
// one address, or twenty for a user or an address, which wait and never lock anybody out.
func (i *Identity) SignIn(ctx context.Context, agencyCode, userName, password string) (token string, actor policy.Actor, err error) {
	if TerminalOf(ctx) == nil {
		return "", actor, problem.New(problem.TerminalUnknown) // nobody guesses from elsewhere
	}
	userName = strings.ToLower(strings.TrimSpace(userName))
	if !userNameForm.MatchString(userName) || len(password) > maxPassword || (agencyCode != "" && !agencyCodeForm.MatchString(agencyCode)) {
		return "", actor, problem.New(problem.SignInFailed)
	}
	u, err := i.findUser(ctx, agencyCode, userName)
	if err != nil {
		return "", actor, err
	}
	account := agencyCode + "/" + userName
	if u != nil {
		account = u.ID // however the agency was named
	}
	hash, allowed := i.decoy, false // an unknown user costs the same
	if u != nil {
		if allowed, err = i.mayUsePassword(ctx, u); err != nil {
			return "", actor, err
		}
	}
	if allowed {
		hash = u.PasswordHash
	}
	match, err := i.guess(ctx, account, password, hash)
	if err != nil {
		return "", actor, err
	}
	if !match || !allowed {
		if u != nil {
			if err := i.refuseSignIn(ctx, u, ByPassword); err != nil {
				return "", actor, err
			}
		}
		return "", actor, problem.New(problem.SignInFailed)
	}
	if u.Status != Active {
		return "", actor, problem.New(problem.Suspended)
	}
	return i.startLogin(ctx, u, ByPassword, nil)
}

// refuseSignIn journals that somebody could not show to be this person.
func (i *Identity) refuseSignIn(ctx context.Context, u *User, by Method) error {
	return i.journal.Refuse(ctx, aboutUser(u.AgencyID, u.ID, policy.Actor{Kind: policy.Nobody}, journal.SignInRefused, map[string]any{"by": by}))
}

// guess compares a password with a hash, few at once. A wrong one counts against
// the account and the address, which wait when there were too many; hash may be
// the decoy, which nothing matches. RATE_LIMITED, UNAVAILABLE.
func (i *Identity) guess(ctx context.Context, account, password, hash string) (match bool, err error) {
	if len(password) > maxPassword {
		return false, nil
	}
	address := Address(ctx)
	here := account + " " + address // a guesser elsewhere must not keep the user out
	waits := func() bool { return !i.byAddr.Allow(address) || !i.byUser.Allow(here) || !i.byAll.Allow(account) }
	if waits() {
		return false, problem.New(problem.RateLimited)
	}
	select {
	case i.hashing <- struct{}{}:
	case <-time.After(hashWait):
		return false, problem.New(problem.Unavailable)
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-i.hashing }()
	if waits() { // the guesses before this one in the queue have failed meanwhile
		return false, problem.New(problem.RateLimited)
	}
	match, err = argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	if !match { // counted before the next in the queue begins
		i.byAddr.Add(address)
		i.byUser.Add(here)
		i.byAll.Add(account)
	}
	return match, nil
}

func (i *Identity) findUser(ctx context.Context, agencyCode, userName string) (*User, error) {
	a, err := i.AgencyByCode(ctx, agencyCode)
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []User
	if err := i.db.Read(ctx).Limit(1).Find(&found, "agency_id = ? AND user_name = ?", a.ID, userName).Error; err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

// startLogin binds a sign-in to the terminal that the request proved; also runs
// in its transaction. TERMINAL_UNKNOWN without a terminal, TERMINAL_NOT_YOURS
// where somebody of that role must not operate it (第5の2).
func (i *Identity) startLogin(ctx context.Context, u *User, by Method, also func(tx *database.Tx, self policy.Actor) error) (string, policy.Actor, error) {
	terminal := TerminalOf(ctx)
	if terminal == nil {
		return "", policy.Actor{}, problem.New(problem.TerminalUnknown)
	}
	grant, err := i.grantOf(ctx, u.ID)
	if err != nil {
		return "", policy.Actor{}, err
	}
	token := NewToken()
	now := i.db.Now()
	l := Login{ID: NewID(), UserID: u.ID, TerminalID: &terminal.ID, TokenHash: HashToken(token), Method: by, CreatedAt: now, SeenAt: now, ActiveAt: &now}
	actor := asOperator(policy.Actor{
		Kind: policy.User, ID: u.ID, Agency: u.AgencyID, Role: u.Role, Login: l.ID,
		Terminal: terminal.ID, Desk: terminal.Kind, Grant: grant,
	}, u.Operator)
	if !i.mayOperate(actor, terminal.AgencyID, terminal.Shared) {
		return "", policy.Actor{}, problem.New(problem.TerminalNotYours)
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		var still User // a suspension that came first wins
		if err := tx.Lock().Take(&still, "id = ?", u.ID).Error; err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
		if still.Status != Active {
			return problem.New(problem.Suspended)
		}
		if err := tx.Create(&l).Error; err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
		if also != nil {
			if err := also(tx, actor); err != nil {
				return err
			}
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, actor, journal.SignedIn, map[string]any{"terminal": terminal.ID, "by": by}))
		return nil
	})
	if err != nil {
		return "", policy.Actor{}, err
	}
	i.awake.due(l.ID, now) // written already
	return token, actor, nil
}

// mayOperate tells whether the actor may operate a terminal of that agency:
// receiving ones only those whom 第5の2 names. On the demonstration's everybody may.
func (i *Identity) mayOperate(actor policy.Actor, agency string, shared bool) bool {
	return shared || agency == homeOf(actor.Agency) &&
		(!actor.Desk.Receives() || i.policy.Can(actor, actor.Agency, policy.Terminal, policy.Operate))
}

// SignOut ends the actor's login.
func (i *Identity) SignOut(ctx context.Context, actor policy.Actor) error {
	return i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Model(&Login{}).Where("id = ? AND ended_at IS NULL", actor.Login).Update("ended_at", tx.Now).Error; err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
		i.journal.Append(tx, journal.Entry{Agency: actor.Agency, Actor: actor, Type: journal.SignedOut, Subject: journal.Subject{Kind: policy.Users, ID: actor.ID}})
		return nil
	})
}

// Recognise finds who holds a console's token, as the database says now, on the
// terminal that the request proved. While the screen is locked they count as
// LOCKED, who may only unlock it or sign out. UNAUTHENTICATED for a token that is
// unknown, ended, too old, or whose user was suspended or removed;
// TERMINAL_UNKNOWN without a terminal, TERMINAL_DIFFERS on another than where it
// was given.
func (i *Identity) Recognise(ctx context.Context, token string) (policy.Actor, error) {
	terminal := TerminalOf(ctx)
	if terminal == nil {
		return policy.Actor{}, problem.New(problem.TerminalUnknown)
	}
	actor, err := i.recognise(ctx, "token_hash = ?", HashToken(token))
	if err != nil || actor.Terminal == terminal.ID {
		return actor, err
	}
	err = i.journal.Refuse(ctx, journal.Entry{
		Agency: actor.Agency, Actor: actor, Type: journal.TerminalRefused,
		Subject: journal.Subject{Kind: policy.Terminal, ID: terminal.ID}, Payload: map[string]any{"bound": actor.Terminal},
	})
	if err != nil {
		return policy.Actor{}, err
	}
	return policy.Actor{}, problem.New(problem.TerminalDiffers)
}

// StillSignedIn tells whether a login that was recognised before still holds,
// and its terminal too, and whether its screen is open. SCREEN_LOCKED.
func (i *Identity) StillSignedIn(ctx context.Context, login string) (policy.Actor, error) {
	actor, err := i.recognise(ctx, "logins.id = ?", login)
	if err == nil && actor.Role == policy.LockedRole {
		return actor, problem.New(problem.ScreenLocked)
	}
	return actor, err
}

func (i *Identity) recognise(ctx context.Context, where string, arg any) (policy.Actor, error) {
	var found []struct {
		LoginID, UserID, AgencyID string
		Role                      policy.Role
		CreatedAt, SeenAt         time.Time
		ActiveAt, LockedAt        *time.Time
		EndedAt                   *time.Time
		TerminalID, TerminalHome  string
		Desk                      policy.Desk
		State                     TerminalState
		Shared                    bool
		Receptions                int64
		Operator                  bool
		Settings                  Settings `gorm:"serializer:json"`
	}
	now := i.db.Now()
	err := i.db.Read(ctx).Model(&Login{}).Joins("JOIN users ON users.id = logins.user_id").Joins("JOIN terminals ON terminals.id = logins.terminal_id").Joins("JOIN agencies ON agencies.id = users.agency_id").
		Select("logins.id AS login_id, users.id AS user_id, users.agency_id, users.role, users.operator, logins.created_at, logins.seen_at, logins.active_at, logins.locked_at, logins.ended_at, "+
			"terminals.id AS terminal_id, terminals.agency_id AS terminal_home, terminals.kind AS desk, terminals.state, terminals.shared, agencies.settings, "+
			"(SELECT count(*) FROM receptions WHERE receptions.user_id = users.id AND receptions.ended_at IS NULL AND receptions.until_at > ?) AS receptions", now).
		Where(where, arg).Where("logins.created_at > ? AND users.status = ?", now.Add(-loginLife), Active).
		Limit(1).Scan(&found).Error
	if err != nil {
		return policy.Actor{}, fmt.Errorf("recognise login: %w", err)
	}
	if len(found) == 0 {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	f := found[0]
	if err := f.State.refusal(); err != nil {
		return policy.Actor{}, err // says more than that the sign-in has ended with it
	}
	actor := asOperator(policy.Actor{Kind: policy.User, ID: f.UserID, Agency: f.AgencyID, Role: f.Role, Login: f.LoginID, Terminal: f.TerminalID, Desk: f.Desk}, f.Operator)
	if f.Receptions > 0 {
		actor.Grant = policy.ReceptionGrant
	}
	if f.EndedAt != nil || !i.mayOperate(actor, f.TerminalHome, f.Shared) {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	if now.Sub(f.SeenAt) > seenEvery {
		if err := i.db.Read(ctx).Model(&Login{}).Where("id = ?", f.LoginID).Update("seen_at", now).Error; err != nil {
			return policy.Actor{}, fmt.Errorf("mark login seen: %w", err)
		}
	}
	active := f.CreatedAt
	if f.ActiveAt != nil {
		active = *f.ActiveAt
	}
	locked := f.LockedAt != nil
	if !locked && i.awake.watching(f.LoginID) {
		err = i.StayAwake(ctx, f.LoginID)
	} else if locked = locked || now.Sub(active) >= f.Settings.idleLimit(); locked && f.Operator {
		return policy.Actor{}, problem.New(problem.Unauthenticated) // there is no screen of theirs to unlock
	} else if locked {
		actor.Role, actor.Grant = policy.LockedRole, ""
	}
	return actor, err
}

// Users reads users of an agency by id.
func (i *Identity) Users(ctx context.Context, agency string, ids []string) (map[string]*User, error) {
	q := i.db.Read(ctx)
	var found []*User
	if err := q.Where("agency_id = ? AND id IN ?", homeOf(agency), ids).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	byID := make(map[string]*User, len(found))
	for _, u := range found {
		byID[u.ID] = u
	}
	return byID, nil
}

// ListUsers reads an agency's users in the order of their registration, after
// the user with that id, at most limit.
func (i *Identity) ListUsers(ctx context.Context, agency, after string, limit int) ([]*User, error) {
	q := i.db.Read(ctx)
	var found []*User
	s := q.Where("agency_id = ?", agency)
	if after != "" {
		s = s.Where("id > ?", after)
	}
	if err := s.Order("id").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return found, nil
}

// Count tells how many agencies and users there are.
func (i *Identity) Count(ctx context.Context) (agencies, users int64, err error) {
	if err = i.db.Read(ctx).Model(&Agency{}).Where("id <> ?", Operators).Count(&agencies).Error; err == nil {
		err = i.db.Read(ctx).Model(&User{}).Count(&users).Error
	}
	if err != nil {
		err = fmt.Errorf("count people: %w", err)
	}
	return agencies, users, err
}

// NewID makes an id: a UUID version 7, ordered by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// ParseID checks that s is an id in its one written form. BAD_ID.
func ParseID(s string) (string, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s {
		return "", problem.New(problem.BadID)
	}
	return s, nil
}

// NewToken makes an unguessable token of 256 bits.
func NewToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// HashToken is how a token is stored. Tokens are long and random, so a plain
// digest is enough.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func notFound(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.Wrap(problem.NotFound, err)
	}
	return err
}
