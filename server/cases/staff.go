package cases

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Device says whose phone a staff link stands on (第4の4(2)エオ).
type Device string

// The devices.
const (
	IssuedDevice  Device = "ISSUED"  // 貸与端末
	PrivateDevice Device = "PRIVATE" // 個人所有の携帯電話機
)

// StaffLinkState is how far a staff link has come.
type StaffLinkState string

// The states: a phone that registered waits for its number to be matched face to
// face; a suspended link may come back, the others never do.
const (
	StaffPending   StaffLinkState = "PENDING"
	StaffActive    StaffLinkState = "ACTIVE"
	StaffSuspended StaffLinkState = "SUSPENDED"
	StaffRevoked   StaffLinkState = "REVOKED"
	StaffExpired   StaffLinkState = "EXPIRED"
)

// RevokeReason is why a staff link was revoked for good.
type RevokeReason string

// The reasons.
const (
	RevokedLeak     RevokeReason = "LEAK"       // 第4の4(2)ウ
	RevokedTransfer RevokeReason = "TRANSFER"   // 第4の4(2)カ
	RevokedReplaced RevokeReason = "REPLACED"   // another phone
	RevokedRemoved  RevokeReason = "REMOVED"    // the officer was taken out
	RevokedByPhone  RevokeReason = "BY_OFFICER" // deleted on the phone, 第4の4(2)カ
	RevokedOther    RevokeReason = "OTHER"
)

// Permission is the head of unit's permission to use a private phone (所属長の
// 許可, 第4の4(2)エ). An ISSUED phone needs none.
type Permission struct {
	Name   string
	Post   string
	Number string
	Date   string // YYYY-MM-DD
}

// StaffSheet is a printed sheet with a registration code that is good once
// (職員用QRコード, 第4の4(1)ア). The code is known only to the paper.
type StaffSheet struct {
	ID         string
	AgencyID   string
	MemberID   string
	CodeHash   []byte
	Device     Device
	Permission Permission `gorm:"embedded;embeddedPrefix:permission_"`
	IssuedAt   time.Time
	ExpiresAt  time.Time
	UsedAt     *time.Time
}

// StaffLink is the standing link of one officer's registered phone (職員用URL,
// 第2の11). Its private key never leaves the phone.
type StaffLink struct {
	ID              string
	AgencyID        string
	MemberID        string
	SheetID         string
	Device          Device
	Permission      Permission `gorm:"embedded;embeddedPrefix:permission_"`
	State           StaffLinkState
	PublicKey       []byte
	TokenHash       []byte
	TokenAt         *time.Time
	MatchNumber     string
	MatchTries      int
	MatchUntil      time.Time
	RulesVersion    string
	RulesLanguage   string
	RulesAcceptedAt time.Time
	System          string
	Browser         string
	RegisteredAt    time.Time
	MatchedAt       *time.Time
	SuspendedAt     *time.Time
	RevokedAt       *time.Time
	RevokeReason    RevokeReason
	WipedAt         *time.Time
	SeenAt          time.Time
	CodeTries       int
	CodeTriedAt     *time.Time
}

// StaffNonce is a challenge that a registered phone signs; each is good once.
type StaffNonce struct {
	Hash      []byte `gorm:"primaryKey"`
	LinkID    string
	ExpiresAt time.Time
}

const (
	sheetLife       = 10 * time.Minute
	matchLife       = 10 * time.Minute
	maxMatchTries   = 3
	staffTokenLife  = 12 * time.Hour // one shift
	staffSeenEvery  = time.Minute
	maxPermission   = 100
	rulesSoonDue    = 30 * 24 * time.Hour
	maxBulkRevoke   = 100
	registrationLen = 12 // Crockford base32: 60 bits, for ten minutes
	crockford       = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// RulesDueAt is when the officer has to accept the rules again: a year after
// they did (第4の4(2)イ).
func (l *StaffLink) RulesDueAt() time.Time { return l.RulesAcceptedAt.AddDate(1, 0, 0) }

// rulesOutdated tells whether nothing may begin before the rules are accepted
// anew.
func (l *StaffLink) rulesOutdated(now time.Time) bool {
	return l.RulesVersion != staffRulesVersion || !now.Before(l.RulesDueAt())
}

// RulesOutdated tells whether nothing can be started before the rules are
// accepted again.
func (c *Cases) RulesOutdated(l *StaffLink) bool { return l.rulesOutdated(c.db.Now()) }

// RulesDue tells whether the rules have to be accepted again within a month.
func (c *Cases) RulesDue(l *StaffLink) bool { return l.rulesOutdated(c.db.Now().Add(rulesSoonDue)) }

// Wipe tells whether the phone has to delete what it holds.
func (l *StaffLink) Wipe() bool { return l.State == StaffRevoked || l.State == StaffExpired }

// Actor is the phone as the actor that it acts as while it sends nothing.
func (l *StaffLink) Actor() policy.Actor {
	return policy.Actor{Kind: policy.StaffPhone, ID: l.ID, Agency: l.AgencyID, Role: policy.StaffPhoneRole, Login: l.ID}
}

func (l *StaffLink) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: l.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Staff, ID: l.ID}, Payload: payload}
}

// OnStaffStarted adds what happens, in the same transaction, when an officer's
// phone starts a video report.
func (c *Cases) OnStaffStarted(f func(tx *database.Tx, s *Session) error) {
	c.staffStarted = append(c.staffStarted, f)
}

// OnStaffRevoked adds what happens, in the same transaction, when a staff link
// is revoked.
func (c *Cases) OnStaffRevoked(f func(tx *database.Tx, actor policy.Actor, l *StaffLink) error) {
	c.staffRevoked = append(c.staffRevoked, f)
}

// NewSheet describes a sheet to print.
type NewSheet struct {
	MemberID   string
	Device     Device
	Permission Permission
}

func (in *NewSheet) check() error {
	p := &in.Permission
	for _, text := range []*string{&p.Name, &p.Post, &p.Number, &p.Date} {
		if *text = strings.TrimSpace(*text); tooLong(*text, maxPermission) {
			return problem.New(problem.BadInput)
		}
	}
	if in.Device == IssuedDevice {
		*p = Permission{}
		return nil
	}
	if in.Device != PrivateDevice {
		return problem.New(problem.BadInput)
	}
	if p.Name == "" || p.Post == "" || p.Number == "" || p.Date == "" {
		return problem.New(problem.PermissionMissing)
	}
	if _, err := time.ParseInLocation(time.DateOnly, p.Date, tokyo); err != nil {
		return problem.Wrap(problem.BadInput, err)
	}
	return nil
}

// IssueSheet makes a sheet for an officer; the code is on the paper and nowhere
// else. One that was printed before and not used dies. A private phone needs its
// 所属長's permission (第4の4(2)エ): PERMISSION_MISSING. NOT_FOUND, BAD_INPUT.
func (c *Cases) IssueSheet(ctx context.Context, actor policy.Actor, in NewSheet) (*StaffSheet, string, error) {
	if err := in.check(); err != nil {
		return nil, "", err
	}
	code := newRegistrationCode()
	sheet := &StaffSheet{
		ID: identity.NewID(), AgencyID: actor.Agency, MemberID: in.MemberID, CodeHash: hashSecret(code), Device: in.Device, Permission: in.Permission,
	}
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		if err := c.registered(tx, actor.Agency, in.MemberID); err != nil {
			return err
		}
		if in.Device == PrivateDevice && in.Permission.Date > tx.Now.In(tokyo).Format(time.DateOnly) {
			return problem.New(problem.PermissionMissing) // not given yet
		}
		older := tx.Model(&StaffSheet{}).Where("member_id = ? AND used_at IS NULL AND expires_at > ?", in.MemberID, tx.Now)
		if err := older.Update("expires_at", tx.Now).Error; err != nil {
			return err
		}
		sheet.IssuedAt, sheet.ExpiresAt = tx.Now, tx.Now.Add(sheetLife)
		if err := tx.Create(sheet).Error; err != nil {
			return err
		}
		c.journal.Append(tx, journal.Entry{
			Agency: actor.Agency, Actor: actor, Type: journal.StaffSheetIssued, Subject: journal.Subject{Kind: policy.Staff, ID: in.MemberID},
			Payload: map[string]any{"sheet": sheet.ID, "device": sheet.Device, "permissionNumber": sheet.Permission.Number, "permissionDate": sheet.Permission.Date},
		})
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("issue sheet: %w", err)
	}
	return sheet, code, nil
}

// registered refuses whoever is no registered officer of the agency.
func (c *Cases) registered(tx *database.Tx, agency, member string) error {
	m, err := c.identity.StaffMember(tx.Context(), agency, member)
	if err == nil && m.RemovedAt != nil {
		err = problem.New(problem.NotFound)
	}
	return err
}

func newRegistrationCode() string {
	b := make([]byte, registrationLen)
	for i := range b {
		b[i] = crockford[randomBelow(len(crockford))]
	}
	return string(b)
}

// registrationCode reads a code as a person types it from the paper.
func registrationCode(typed string) string {
	if len(typed) > 4*registrationLen {
		return ""
	}
	return strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(typed))
}

// StaffRegistration is what a code shows before a phone is registered. No name
// is in it: the paper has it.
type StaffRegistration struct {
	Agency    *identity.Agency
	Device    Device
	ExpiresAt time.Time
	Rules     []StaffRules
}

// Registration reads what a code is for, and changes nothing.
// REGISTRATION_UNUSABLE for every unknown, used or old one.
func (c *Cases) Registration(ctx context.Context, code string) (*StaffRegistration, error) {
	var found []StaffSheet
	err := c.db.Read(ctx).Limit(1).Find(&found, "code_hash = ? AND used_at IS NULL AND expires_at > ?", hashSecret(registrationCode(code)), c.db.Now()).Error
	if err != nil {
		return nil, fmt.Errorf("find sheet: %w", err)
	}
	if len(found) == 0 {
		return nil, c.unusableCode(ctx)
	}
	a, err := c.identity.Agency(ctx, found[0].AgencyID)
	if err != nil {
		return nil, err
	}
	return &StaffRegistration{Agency: a, Device: found[0].Device, ExpiresAt: found[0].ExpiresAt, Rules: currentStaffRules}, nil
}

// unusableCode counts a registration code that did not open anything.
func (c *Cases) unusableCode(ctx context.Context) error {
	if err := c.unusable(ctx); !problem.Is(err, problem.LinkUnusable) {
		return err
	}
	return problem.New(problem.RegistrationUnusable)
}

// RegisterPhone is what the installed app sends with a code.
type RegisterPhone struct {
	Code          string
	PublicKey     string
	RulesVersion  string
	RulesLanguage string
	System        string
	Browser       string
}

// RegisterPhone registers a phone by a sheet's code, which is spent, and gives
// it a number to be matched face to face (第4の4(1)ア). The token goes into the
// phone's cookie. REGISTRATION_UNUSABLE, RULES_OUTDATED, BAD_INPUT.
func (c *Cases) RegisterPhone(ctx context.Context, in RegisterPhone) (l *StaffLink, token string, err error) {
	if !knownStaffRules(in.RulesVersion, in.RulesLanguage) {
		return nil, "", problem.New(problem.RulesOutdated)
	}
	key, err := parsePublicKey(in.PublicKey)
	if err != nil {
		return nil, "", err
	}
	if tooLong(in.System, maxDeviceText) || tooLong(in.Browser, maxDeviceText) {
		return nil, "", problem.New(problem.BadInput)
	}
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		var sheets []StaffSheet
		err := tx.Lock().Limit(1).Find(&sheets, "code_hash = ? AND used_at IS NULL AND expires_at > ?", hashSecret(registrationCode(in.Code)), tx.Now).Error
		if err != nil || len(sheets) == 0 {
			return err
		}
		sheet := &sheets[0]
		if err := c.registered(tx, sheet.AgencyID, sheet.MemberID); err != nil {
			if problem.Is(err, problem.NotFound) {
				return nil
			}
			return err
		}
		if err := tx.Model(sheet).Update("used_at", tx.Now).Error; err != nil {
			return err
		}
		token = identity.NewToken()
		l = &StaffLink{
			ID: identity.NewID(), AgencyID: sheet.AgencyID, MemberID: sheet.MemberID, SheetID: sheet.ID, Device: sheet.Device, Permission: sheet.Permission,
			State: StaffPending, PublicKey: key, TokenHash: identity.HashToken(token), TokenAt: &tx.Now,
			MatchNumber: fmt.Sprintf("%04d", randomBelow(10_000)), MatchUntil: tx.Now.Add(matchLife),
			RulesVersion: in.RulesVersion, RulesLanguage: in.RulesLanguage, RulesAcceptedAt: tx.Now,
			System: in.System, Browser: in.Browser, RegisteredAt: tx.Now, SeenAt: tx.Now,
		}
		if err := tx.Create(l).Error; err != nil {
			return err
		}
		c.journal.Append(tx, l.entry(l.Actor(), journal.StaffPhoneRegistered, map[string]any{"member": l.MemberID, "device": l.Device}))
		c.journal.Append(tx, l.entry(l.Actor(), journal.StaffRulesAccepted, map[string]any{"version": l.RulesVersion, "language": l.RulesLanguage}))
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("register phone: %w", err)
	}
	if l == nil {
		return nil, "", c.unusableCode(ctx)
	}
	return l, token, nil
}

// MatchPhone finishes a registration: the number that the officer's phone shows,
// typed by who sees both (第4の4(1)ア). Three wrong ones end it. MATCH_WRONG,
// REGISTRATION_UNUSABLE, NOT_FOUND.
func (c *Cases) MatchPhone(ctx context.Context, actor policy.Actor, linkID, number string) (*StaffLink, error) {
	var wrong error
	l, err := c.changeStaff(ctx, actor.Agency, linkID, func(tx *database.Tx, l *StaffLink) error {
		switch {
		case l.State == StaffActive && l.MatchedAt != nil:
			return nil
		case l.State != StaffPending || !tx.Now.Before(l.MatchUntil):
			wrong = problem.New(problem.RegistrationUnusable)
			return nil
		}
		if subtle.ConstantTimeCompare([]byte(l.MatchNumber), []byte(strings.TrimSpace(number))) != 1 {
			wrong = problem.New(problem.MatchWrong)
			if l.MatchTries++; l.MatchTries >= maxMatchTries {
				l.State, l.MatchNumber = StaffExpired, ""
			}
			c.journal.Append(tx, l.entry(actor, journal.StaffMatchRefused, map[string]any{"tries": l.MatchTries}))
			return nil
		}
		l.State, l.MatchNumber, l.MatchedAt = StaffActive, "", &tx.Now
		c.journal.Append(tx, l.entry(actor, journal.StaffPhoneMatched, map[string]any{"member": l.MemberID}))
		return nil
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// changeStaff locks a staff link of an agency, changes and saves it.
func (c *Cases) changeStaff(ctx context.Context, agency, linkID string, change func(*database.Tx, *StaffLink) error) (*StaffLink, error) {
	var l *StaffLink
	err := c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if l, err = c.lockStaff(tx, agency, linkID); err != nil {
			return err
		}
		if err := change(tx, l); err != nil {
			return err
		}
		return c.saveStaff(tx, l)
	})
	if err != nil {
		return nil, fmt.Errorf("change staff link: %w", err)
	}
	return l, nil
}

func (c *Cases) lockStaff(tx *database.Tx, agency, linkID string) (*StaffLink, error) {
	if linkID == "" {
		return nil, problem.New(problem.NotFound)
	}
	var l StaffLink
	if err := tx.Lock().Take(&l, "id = ? AND agency_id = ?", linkID, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &l, nil
}

func (c *Cases) saveStaff(tx *database.Tx, l *StaffLink) error {
	if err := tx.Save(l).Error; err != nil {
		return fmt.Errorf("save staff link: %w", err)
	}
	return nil
}

// Challenge gives a phone a nonce to sign. An unknown phone gets one, too, that
// is good for nothing.
func (c *Cases) Challenge(ctx context.Context, linkID string) (string, error) {
	nonce := identity.NewToken()
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		var found []StaffLink
		if err := tx.Lock().Limit(1).Find(&found, "id = ? AND wiped_at IS NULL", linkID).Error; err != nil || len(found) == 0 {
			return err
		}
		keep := tx.Model(&StaffNonce{}).Select("hash").Where("link_id = ?", linkID).Order("expires_at DESC").Limit(maxNonces - 1)
		if err := tx.Where("link_id = ? AND hash NOT IN (?)", linkID, keep).Delete(&StaffNonce{}).Error; err != nil {
			return err
		}
		return tx.Create(&StaffNonce{Hash: identity.HashToken(nonce), LinkID: linkID, ExpiresAt: tx.Now.Add(nonceLife)}).Error
	})
	if err != nil {
		return "", fmt.Errorf("challenge phone: %w", err)
	}
	return nonce, nil
}

// proves spends a nonce and checks that the link's own key signed it.
// NONCE_INVALID, SIGNATURE_INVALID.
func (c *Cases) proves(tx *database.Tx, l *StaffLink, nonce, signature string) (refused, err error) {
	spent := tx.Where("hash = ? AND link_id = ? AND expires_at > ?", identity.HashToken(nonce), l.ID, tx.Now).Delete(&StaffNonce{})
	switch {
	case spent.Error != nil:
		return nil, spent.Error
	case spent.RowsAffected == 0:
		return problem.New(problem.NonceInvalid), nil
	case l.WipedAt != nil || !signed(l.PublicKey, nonce, signature):
		return problem.New(problem.SignatureInvalid), nil
	}
	return nil, nil
}

// ResumePhone gives a registered phone its cookie: it signs a nonce of
// Challenge. A copy of its storage without the key cannot. A revoked phone is
// let in so far that it learns to wipe itself. NONCE_INVALID,
// SIGNATURE_INVALID, RATE_LIMITED.
func (c *Cases) ResumePhone(ctx context.Context, linkID, nonce, signature string) (l *StaffLink, token string, err error) {
	var refused error
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		var found []StaffLink
		if err := tx.Lock().Limit(1).Find(&found, "id = ?", linkID).Error; err != nil {
			return err
		}
		if len(found) == 0 {
			refused = problem.New(problem.NonceInvalid)
			return nil
		}
		l = &found[0]
		if refused, err = c.proves(tx, l, nonce, signature); err != nil {
			return err
		}
		if refused == nil && !c.resumes.Allow(linkID) {
			refused = problem.New(problem.RateLimited)
		}
		if refused == nil {
			c.resumes.Add(linkID)
			token = c.freshToken(tx, l)
			c.journal.Append(tx, l.entry(l.Actor(), journal.StaffPhoneResumed, nil))
			return c.saveStaff(tx, l)
		}
		c.journal.Append(tx, l.entry(policy.Actor{Kind: policy.Nobody}, journal.StaffLinkRefused, map[string]any{"reason": problem.Of(refused).Reason()}))
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("resume phone: %w", err)
	}
	if refused != nil {
		return nil, "", refused
	}
	return l, token, nil
}

// freshToken gives the link a new token; what had the old one, a copy of the
// browser's profile too, is out.
func (c *Cases) freshToken(tx *database.Tx, l *StaffLink) string {
	token := identity.NewToken()
	l.TokenHash, l.TokenAt, l.SeenAt = identity.HashToken(token), &tx.Now, tx.Now
	return token
}

// RecogniseStaff finds which registered phone holds a token, and which video
// report of the last day it sends to. Suspended and revoked phones are
// recognised, so that they learn of it. UNAUTHENTICATED.
func (c *Cases) RecogniseStaff(ctx context.Context, token string) (policy.Actor, error) {
	now := c.db.Now()
	var found []StaffLink
	err := c.db.Read(ctx).Limit(1).Find(&found, "token_hash = ? AND token_at > ?", identity.HashToken(token), now.Add(-staffTokenLife)).Error
	if err != nil {
		return policy.Actor{}, fmt.Errorf("recognise staff: %w", err)
	}
	if len(found) == 0 {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	l := &found[0]
	if now.Sub(l.SeenAt) > staffSeenEvery {
		if err := c.db.Read(ctx).Model(&StaffLink{}).Where("id = ?", l.ID).Update("seen_at", now).Error; err != nil {
			return policy.Actor{}, fmt.Errorf("mark phone seen: %w", err)
		}
	}
	return c.StaffActor(ctx, l)
}

// StaffActor is a registered phone as the actor that it acts as: in its newest
// video report of the last day, over or not, or in none.
func (c *Cases) StaffActor(ctx context.Context, l *StaffLink) (policy.Actor, error) {
	var phones []Phone
	err := c.db.Read(ctx).Order("joined_at DESC, id DESC").Limit(1).Find(&phones, "staff_link_id = ? AND joined_at > ?", l.ID, c.db.Now().Add(-maxSession)).Error
	if err != nil {
		return policy.Actor{}, fmt.Errorf("recognise staff: %w", err)
	}
	if len(phones) > 0 {
		return phones[0].Actor(), nil
	}
	return l.Actor(), nil
}

// AcceptRules notes that the officer read and accepted the rules again
// (第4の4(2)イキ). RULES_OUTDATED for a version that is not the current one.
func (c *Cases) AcceptRules(ctx context.Context, actor policy.Actor, version, language string) (*StaffLink, error) {
	if !knownStaffRules(version, language) {
		return nil, problem.New(problem.RulesOutdated)
	}
	return c.changeStaff(ctx, actor.Agency, actor.Login, func(tx *database.Tx, l *StaffLink) error {
		if err := l.usable(); err != nil {
			return err
		}
		l.RulesVersion, l.RulesLanguage, l.RulesAcceptedAt = version, language, tx.Now
		c.journal.Append(tx, l.entry(actor, journal.StaffRulesAccepted, map[string]any{"version": version, "language": language}))
		return nil
	})
}

// usable refuses a link that may start nothing.
func (l *StaffLink) usable() error {
	switch l.State {
	case StaffActive:
		return nil
	case StaffPending:
		return problem.New(problem.StaffLinkPending)
	case StaffSuspended:
		return problem.New(problem.StaffLinkSuspended)
	}
	return problem.New(problem.StaffLinkRevoked)
}

// SuspendStaff suspends a staff link in the caller's transaction (第4の4(2)ウ):
// whatever it sends is cut. Suspending one that is not active changes nothing.
// NOT_FOUND.
func (c *Cases) SuspendStaff(tx *database.Tx, actor policy.Actor, linkID string) (*StaffLink, error) {
	l, err := c.lockStaff(tx, actor.Agency, linkID)
	if err != nil || l.State != StaffActive {
		return l, err
	}
	l.State, l.SuspendedAt = StaffSuspended, &tx.Now
	c.journal.Append(tx, l.entry(actor, journal.StaffLinkSuspended, map[string]any{"member": l.MemberID}))
	if err := c.cutStaff(tx, actor, l); err != nil {
		return nil, err
	}
	return l, c.saveStaff(tx, l)
}

// Suspend suspends one staff link (第4の4(2)ウ). NOT_FOUND.
func (c *Cases) Suspend(ctx context.Context, actor policy.Actor, linkID string) (l *StaffLink, err error) {
	err = c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		l, err = c.SuspendStaff(tx, actor, linkID)
		return err
	})
	return l, err
}

// RestoreStaff lets a suspended link be used again: the report was unfounded.
// Only a manager does (第4の4(2)ウ). NOT_FOUND, STAFF_LINK_REVOKED.
func (c *Cases) RestoreStaff(tx *database.Tx, actor policy.Actor, linkID string) (*StaffLink, error) {
	l, err := c.lockStaff(tx, actor.Agency, linkID)
	if err != nil || l.State == StaffActive {
		return l, err
	}
	if l.State != StaffSuspended {
		return nil, l.usable()
	}
	l.State, l.SuspendedAt = StaffActive, nil
	c.journal.Append(tx, l.entry(actor, journal.StaffLinkRestored, map[string]any{"member": l.MemberID}))
	return l, c.saveStaff(tx, l)
}

// RevokeStaff revokes staff links for good, all or none (第4の4(2)ウカ); at their
// next contact the phones learn to wipe themselves. NOT_FOUND, BAD_INPUT.
func (c *Cases) RevokeStaff(ctx context.Context, actor policy.Actor, linkIDs []string, why RevokeReason) ([]*StaffLink, error) {
	if len(linkIDs) == 0 || len(linkIDs) > maxBulkRevoke {
		return nil, problem.New(problem.BadInput)
	}
	var revoked []*StaffLink
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		for _, id := range linkIDs {
			l, err := c.revokeStaff(tx, actor, id, why)
			if err != nil {
				return err
			}
			revoked = append(revoked, l)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revoke staff links: %w", err)
	}
	return revoked, nil
}

func (c *Cases) revokeStaff(tx *database.Tx, actor policy.Actor, linkID string, why RevokeReason) (*StaffLink, error) {
	l, err := c.lockStaff(tx, actor.Agency, linkID)
	if err != nil || l.State == StaffRevoked {
		return l, err
	}
	l.State, l.RevokedAt, l.RevokeReason, l.MatchNumber = StaffRevoked, &tx.Now, why, ""
	c.journal.Append(tx, l.entry(actor, journal.StaffLinkRevoked, map[string]any{"member": l.MemberID, "reason": why}))
	if err := c.cutStaff(tx, actor, l); err != nil {
		return nil, err
	}
	for _, f := range c.staffRevoked {
		if err := f(tx, actor, l); err != nil {
			return nil, err
		}
	}
	return l, c.saveStaff(tx, l)
}

// RemoveStaffMember takes an officer out with all their links (第4の4(2)カ).
// NOT_FOUND.
func (c *Cases) RemoveStaffMember(ctx context.Context, actor policy.Actor, memberID string) (m *identity.StaffMember, err error) {
	err = c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if m, err = c.identity.RemoveStaff(tx, actor, memberID); err != nil {
			return err
		}
		var ids []string
		if err := tx.Model(&StaffLink{}).Where("member_id = ? AND state NOT IN ?", memberID, []StaffLinkState{StaffRevoked, StaffExpired}).Order("id").Pluck("id", &ids).Error; err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := c.revokeStaff(tx, actor, id, RevokedRemoved); err != nil {
				return err
			}
		}
		return tx.Model(&StaffSheet{}).Where("member_id = ? AND used_at IS NULL AND expires_at > ?", memberID, tx.Now).Update("expires_at", tx.Now).Error
	})
	if err != nil {
		return nil, fmt.Errorf("remove staff: %w", err)
	}
	return m, nil
}

// cutStaff ends what a staff link sends, and tells after the commit who may no
// more be shown anything.
func (c *Cases) cutStaff(tx *database.Tx, actor policy.Actor, l *StaffLink) error {
	var open []string
	if err := tx.Model(&Session{}).Where("staff_link_id = ? AND state NOT IN ?", l.ID, overStates).Pluck("id", &open).Error; err != nil {
		return fmt.Errorf("cut staff: %w", err)
	}
	for _, id := range open {
		s, err := lockSession(tx, id)
		if err != nil {
			return err
		}
		if s.State.Over() {
			continue
		}
		s.EndedBy = actor.ID
		if err := c.finish(tx, s, Revoked, LinkRevoked, s.entry(actor, journal.StaffSessionCut, map[string]any{"link": l.ID})); err != nil {
			return err
		}
	}
	after(tx, c.cut, l.ID)
	return nil
}

// RemovePhone is the phone's own deletion: the officer needs the link no more
// (第4の4(2)カ), or the phone has wiped itself after it was revoked. Its key and
// its token are erased here, too.
func (c *Cases) RemovePhone(ctx context.Context, actor policy.Actor) error {
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		l, err := c.lockStaff(tx, actor.Agency, actor.Login)
		if err != nil {
			return err
		}
		if !l.Wipe() {
			if l, err = c.revokeStaff(tx, actor, l.ID, RevokedByPhone); err != nil {
				return err
			}
		}
		l.WipedAt, l.PublicKey, l.TokenHash, l.TokenAt = &tx.Now, []byte{}, nil, nil
		c.journal.Append(tx, l.entry(actor, journal.StaffPhoneWiped, nil))
		return c.saveStaff(tx, l)
	})
}

// ExpireStaff ends registrations that nobody matched in time, and video reports
// of officers from which nothing ever came. It answers how many.
func (c *Cases) ExpireStaff(ctx context.Context) (int, error) {
	now, expired := c.db.Now(), 0
	var pending []StaffLink
	if err := c.db.Read(ctx).Where("state = ? AND match_until <= ?", StaffPending, now).Order("match_until").Limit(expireBatch).Find(&pending).Error; err != nil {
		return 0, fmt.Errorf("find unmatched phones: %w", err)
	}
	for _, l := range pending {
		_, err := c.changeStaff(ctx, l.AgencyID, l.ID, func(tx *database.Tx, l *StaffLink) error {
			if l.State != StaffPending {
				return nil
			}
			expired++
			l.State, l.MatchNumber = StaffExpired, ""
			c.journal.Append(tx, l.entry(policy.SystemActor(), journal.StaffLinkExpired, nil))
			return nil
		})
		if err != nil {
			return expired, err
		}
	}
	var silent []string
	err := c.db.Read(ctx).Model(&Session{}).Where("kind = ? AND state = ? AND requested_at <= ?", StaffSession, CodeOK, now.Add(-staffSilence)).
		Order("requested_at").Limit(expireBatch).Pluck("id", &silent).Error
	if err != nil {
		return expired, fmt.Errorf("find silent phones: %w", err)
	}
	for _, id := range silent {
		err := c.db.InTx(ctx, func(tx *database.Tx) error {
			s, err := lockSession(tx, id)
			if err != nil || s.State != CodeOK {
				return err
			}
			expired++
			return c.finish(tx, s, Expired, LinkExpired, s.entry(policy.SystemActor(), journal.SessionExpired, map[string]any{"reason": "SILENT"}))
		})
		if err != nil {
			return expired, fmt.Errorf("expire session: %w", err)
		}
	}
	return expired, nil
}

// StaffLink reads one staff link of an agency. NOT_FOUND.
func (c *Cases) StaffLink(ctx context.Context, agency, id string) (*StaffLink, error) {
	if id == "" {
		return nil, problem.New(problem.NotFound)
	}
	var l StaffLink
	if err := c.db.Read(ctx).Take(&l, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &l, nil
}

// StaffLinks reads the links of officers, oldest first.
func (c *Cases) StaffLinks(ctx context.Context, agency string, memberIDs []string) (map[string][]*StaffLink, error) {
	var found []*StaffLink
	if err := c.db.Read(ctx).Where("agency_id = ? AND member_id IN ?", agency, memberIDs).Order("registered_at, id").Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read staff links: %w", err)
	}
	byMember := make(map[string][]*StaffLink, len(memberIDs))
	for _, l := range found {
		byMember[l.MemberID] = append(byMember[l.MemberID], l)
	}
	return byMember, nil
}

// StaffLinkFilter narrows a list of staff links. Empty fields do not narrow.
type StaffLinkFilter struct {
	Unit     *string
	State    *StaffLinkState
	Device   *Device
	RulesDue *bool
}

// ListStaffLinks reads an agency's staff links in the order of registration,
// after the one with that id, at most limit (第4の4(2)カ). BAD_INPUT.
func (c *Cases) ListStaffLinks(ctx context.Context, agency string, f StaffLinkFilter, after string, limit int) ([]*StaffLink, error) {
	q := c.db.Read(ctx).Where("agency_id = ?", agency)
	if f.Unit != nil && tooLong(*f.Unit, maxPermission) {
		return nil, problem.New(problem.BadInput)
	}
	if f.Unit != nil {
		q = q.Where("member_id IN (SELECT id FROM staff_members WHERE agency_id = ? AND unit = ?)", agency, *f.Unit)
	}
	q = where(q, "state = ?", f.State)
	q = where(q, "device = ?", f.Device)
	if f.RulesDue != nil {
		before := c.db.Now().Add(rulesSoonDue).AddDate(-1, 0, 0)
		due := "rules_accepted_at <= ? OR rules_version <> ?"
		if !*f.RulesDue {
			due = "rules_accepted_at > ? AND rules_version = ?"
		}
		q = q.Where(due, before, staffRulesVersion)
	}
	if after != "" {
		q = q.Where("id > ?", after)
	}
	var found []*StaffLink
	if err := q.Order("id").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list staff links: %w", err)
	}
	return found, nil
}
