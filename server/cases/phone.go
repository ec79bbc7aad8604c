package cases

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// PhoneState says how far a phone was let in.
type PhoneState string

// The states: a phone that joined is provisional; its first accepted media or
// position spends a use and binds it; a second phone waits to be admitted.
const (
	Provisional  PhoneState = "PROVISIONAL"
	Waiting      PhoneState = "WAITING"
	Bound        PhoneState = "BOUND"
	RefusedPhone PhoneState = "REFUSED"
)

// Phone is a phone that joined a session. Its private key never leaves it.
type Phone struct {
	ID        string
	AgencyID  string
	SessionID string
	LinkID    string `gorm:"serializer:optional"`
	State     PhoneState
	PublicKey []byte
	TokenHash []byte
	System    string
	Browser   string
	Language  string
	JoinedAt  time.Time
	BoundAt   *time.Time
	StoppedAt *time.Time
	// StaffLinkID is the staff link of an officer's phone, which has no Link.
	StaffLinkID string `gorm:"serializer:optional"`
}

// Actor is the phone as the actor that it acts as.
func (p *Phone) Actor() policy.Actor {
	if p.StaffLinkID != "" {
		return policy.Actor{Kind: policy.StaffPhone, ID: p.ID, Agency: p.AgencyID, Role: policy.StaffPhoneRole, Session: p.SessionID, Login: p.StaffLinkID}
	}
	return policy.Actor{Kind: policy.Caller, ID: p.ID, Agency: p.AgencyID, Role: policy.CallerRole, Session: p.SessionID}
}

// Consent is an answer to the four items (第4の2(2)).
type Consent struct {
	ID        string
	AgencyID  string
	SessionID string
	PhoneID   *string
	Agreed    bool
	Version   string
	Language  string
	At        time.Time
}

const (
	maxPhones     = 64  // a link; programs that open links join, too, and must not use up the caller's place, which a new link gives back
	maxStreams    = 120 // live streams that one phone may begin in streamWindow, each a recording
	streamWindow  = 10 * time.Minute
	maxRefusals   = 20 // answers of no that are kept of a session
	maxDeviceText = 80
	maxPublicKey  = 512
)

// Join is a caller's answer with what the phone says of itself.
type Join struct {
	Secret    string
	Pass      string
	Agreed    bool
	Version   string
	Language  string
	PublicKey string
	System    string
	Browser   string
}

// Join records the answer to the four items and, when it is yes, lets the phone
// in provisionally; the token goes into the phone's cookie. A refusal answers
// no phone. LINK_UNUSABLE, CODE_REQUIRED, CONSENT_OUTDATED, BAD_INPUT.
func (c *Cases) Join(ctx context.Context, in Join) (p *Phone, token string, err error) {
	l, err := c.find(ctx, in.Secret, true)
	if err != nil {
		return nil, "", err
	}
	if in.Agreed && l.Used >= l.Uses { // answered as fast as the other dead links, and before anything else is
		return nil, "", c.refuse(ctx, l, "used up")
	}
	if !knownTerms(in.Version, in.Language) {
		return nil, "", problem.New(problem.ConsentOutdated)
	}
	if l.CodeSealed != nil {
		if b, err := c.bearers.Open(in.Pass, identity.UseCode); err != nil || b.Object != l.ID {
			return nil, "", problem.New(problem.CodeRequired)
		}
	}
	var key []byte
	if in.Agreed {
		if key, err = parsePublicKey(in.PublicKey); err != nil {
			return nil, "", err
		}
	}
	if tooLong(in.System, maxDeviceText) || tooLong(in.Browser, maxDeviceText) {
		return nil, "", problem.New(problem.BadInput)
	}
	unusable := ""
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, l.SessionID)
		if err != nil {
			return err
		}
		var now Link
		if err := tx.Lock().Take(&now, "id = ?", l.ID).Error; err != nil {
			return err
		}
		phones, err := c.lockPhones(tx, s.ID)
		if err != nil {
			return err
		}
		occupied, ofLink := false, 0
		for _, other := range phones {
			if other.LinkID == l.ID {
				ofLink++
			}
			occupied = occupied || other.BoundAt != nil || other.State == RefusedPhone // one that was put out does not come back as the first
		}
		switch {
		case s.State.Over() || now.State != LinkLive:
			unusable = "dead"
		case in.Agreed && ofLink >= maxPhones:
			unusable = "too many phones"
		case in.Agreed && now.Used >= now.Uses:
			unusable = "used up"
		}
		if unusable != "" {
			return nil
		}
		consent := Consent{ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, Agreed: in.Agreed, Version: in.Version, Language: in.Language, At: tx.Now}
		said := map[string]any{"version": in.Version, "language": in.Language}
		if !in.Agreed {
			var before int64
			if err := tx.Model(&Consent{}).Where("session_id = ? AND NOT agreed", s.ID).Count(&before).Error; err != nil || before >= maxRefusals {
				return err
			}
			if err := tx.Create(&consent).Error; err != nil {
				return err
			}
			if s.ConsentedAt == nil {
				s.stall(RefusedConsent, tx.Now)
			}
			c.journal.Append(tx, s.entry(callerActor(s), journal.ConsentRefused, said))
			return c.save(tx, s)
		}
		token = identity.NewToken()
		p = &Phone{
			ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, LinkID: l.ID, State: Provisional, PublicKey: key,
			TokenHash: identity.HashToken(token), System: in.System, Browser: in.Browser, Language: in.Language, JoinedAt: tx.Now,
		}
		if occupied {
			p.State = Waiting
		}
		if err := tx.Create(p).Error; err != nil {
			return err
		}
		consent.PhoneID = &p.ID
		if err := tx.Create(&consent).Error; err != nil {
			return err
		}
		actor := phoneActor(s, p.ID)
		s.reach(Consented, tx.Now)
		s.moveOn()
		c.journal.Append(tx, s.entry(actor, journal.ConsentGiven, said))
		c.journal.Append(tx, s.entry(actor, journal.PhoneJoined, map[string]any{"phone": p.ID, "system": p.System, "browser": p.Browser}))
		if occupied {
			c.journal.Append(tx, s.entry(actor, journal.PhoneWaiting, map[string]any{"phone": p.ID}))
		}
		return c.save(tx, s)
	})
	if err != nil {
		return nil, "", fmt.Errorf("join: %w", err)
	}
	if unusable != "" {
		return nil, "", c.refuse(ctx, l, unusable)
	}
	return p, token, nil
}

func (c *Cases) lockPhones(tx *database.Tx, sessionID string) ([]*Phone, error) {
	var phones []*Phone
	if err := tx.Lock().Order("id").Find(&phones, "session_id = ?", sessionID).Error; err != nil {
		return nil, fmt.Errorf("read phones: %w", err)
	}
	return phones, nil
}

func parsePublicKey(text string) ([]byte, error) {
	if len(text) > maxPublicKey {
		return nil, problem.New(problem.BadInput)
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	if k, ok := key.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, problem.New(problem.BadInput)
	}
	return der, nil
}

// Resume lets a phone that joined go on after a reload or a lost cookie: it
// signs a nonce of OpenLink with its key. A signature and a nonce are good once.
// NONCE_INVALID, SIGNATURE_INVALID, LINK_UNUSABLE, RATE_LIMITED.
func (c *Cases) Resume(ctx context.Context, secret, phoneID, nonce, signature string) (p *Phone, token string, err error) {
	l, err := c.find(ctx, secret, false)
	if err != nil {
		return nil, "", err
	}
	var refused error
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, l.SessionID)
		if err != nil {
			return err
		}
		spent := tx.Where("hash = ? AND link_id = ? AND expires_at > ?", identity.HashToken(nonce), l.ID, tx.Now).Delete(&Nonce{})
		if spent.Error != nil {
			return spent.Error
		}
		if spent.RowsAffected == 0 {
			refused = problem.New(problem.NonceInvalid)
			return nil
		}
		var found []*Phone
		if err := tx.Lock().Limit(1).Find(&found, "id = ? AND session_id = ?", phoneID, s.ID).Error; err != nil {
			return err
		}
		if len(found) == 0 || found[0].State == RefusedPhone || !signed(found[0].PublicKey, nonce, signature) {
			refused = problem.New(problem.SignatureInvalid)
			return nil
		}
		if s.State.Over() {
			refused = problem.New(problem.SessionEnded)
			return nil
		}
		if !c.resumes.Allow(phoneID) {
			refused = problem.New(problem.RateLimited)
			return nil
		}
		c.resumes.Add(phoneID)
		p = found[0]
		token = identity.NewToken()
		p.TokenHash, p.StoppedAt = identity.HashToken(token), nil
		if err := tx.Save(p).Error; err != nil {
			return err
		}
		c.journal.Append(tx, s.entry(phoneActor(s, p.ID), journal.PhoneResumed, map[string]any{"phone": p.ID}))
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("resume: %w", err)
	}
	if refused != nil {
		return nil, "", refused
	}
	return p, token, nil
}

// signed checks an ECDSA P-256 signature as browsers make it: r and s, 32 bytes
// each.
func signed(publicKey []byte, message, signature string) bool {
	key, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return false
	}
	k, ok := key.(*ecdsa.PublicKey)
	raw, err := base64.StdEncoding.DecodeString(signature)
	if !ok || err != nil || len(raw) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(message))
	return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}

// Recognise finds whose phone holds a token. A phone whose session is over is
// still recognised, so that it learns of the end. UNAUTHENTICATED.
func (c *Cases) Recognise(ctx context.Context, token string) (policy.Actor, error) {
	var found []Phone
	if err := c.db.Read(ctx).Limit(1).Find(&found, "token_hash = ? AND state <> ?", identity.HashToken(token), RefusedPhone).Error; err != nil {
		return policy.Actor{}, fmt.Errorf("recognise phone: %w", err)
	}
	if len(found) == 0 {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	return found[0].Actor(), nil
}

// Welcome checks, without changing anything, that the phone may send: it is
// asked again with Accept when media or a position has really arrived.
// SESSION_ENDED, PHONE_WAITING, PHONE_REFUSED.
func (c *Cases) Welcome(ctx context.Context, actor policy.Actor) (*Session, error) {
	s, err := c.Session(ctx, actor.Agency, actor.Session)
	if err != nil {
		return nil, err
	}
	if s.State.Over() {
		return nil, problem.New(problem.SessionEnded)
	}
	var p Phone
	if err := c.db.Read(ctx).Take(&p, "id = ? AND session_id = ?", actor.ID, s.ID).Error; err != nil {
		return nil, notFound(err)
	}
	return s, p.admitted()
}

func (p *Phone) admitted() error {
	switch p.State {
	case Waiting:
		return problem.New(problem.PhoneWaiting)
	case RefusedPhone:
		return problem.New(problem.PhoneRefused)
	}
	return nil
}

// Accept is called in the transaction that accepts media or a position of a
// phone. The first one spends a use of the link and binds the phone; from then
// on every other phone waits. It answers the locked session.
// SESSION_ENDED, PHONE_WAITING, PHONE_REFUSED, LINK_UNUSABLE.
func (c *Cases) Accept(tx *database.Tx, actor policy.Actor) (*Session, error) {
	s, err := lockSession(tx, actor.Session)
	if err != nil {
		return nil, err
	}
	if s.State.Over() {
		return nil, problem.New(problem.SessionEnded)
	}
	if err := c.bind(tx, s, actor); err != nil {
		return nil, err
	}
	if s.reach(Connected, tx.Now) {
		c.journal.Append(tx, s.entry(actor, journal.SessionConnected, nil))
	}
	s.moveOn()
	return s, c.save(tx, s)
}

func (c *Cases) bind(tx *database.Tx, s *Session, actor policy.Actor) error {
	phones, err := c.lockPhones(tx, s.ID)
	if err != nil {
		return err
	}
	var p *Phone
	for _, candidate := range phones {
		if candidate.ID == actor.ID {
			p = candidate
		}
	}
	if p == nil {
		return problem.New(problem.NotFound)
	}
	if err := p.admitted(); err != nil || p.State == Bound {
		return err
	}
	if err := spendUse(tx, p.LinkID); err != nil {
		return err
	}
	for _, other := range phones {
		if other.State == Provisional && other.ID != p.ID {
			other.State = Waiting
			if err := tx.Save(other).Error; err != nil {
				return fmt.Errorf("hold phone: %w", err)
			}
			c.journal.Append(tx, s.entry(phoneActor(s, other.ID), journal.PhoneWaiting, map[string]any{"phone": other.ID}))
			after(tx, c.held, other.ID)
		}
	}
	return c.markBound(tx, s, p, actor, journal.PhoneBound)
}

func (c *Cases) markBound(tx *database.Tx, s *Session, p *Phone, actor policy.Actor, what journal.Type) error {
	p.State, p.BoundAt = Bound, &tx.Now
	if err := tx.Save(p).Error; err != nil {
		return fmt.Errorf("bind phone: %w", err)
	}
	c.journal.Append(tx, s.entry(actor, what, map[string]any{"phone": p.ID}))
	return nil
}

func spendUse(tx *database.Tx, linkID string) error {
	spent := tx.Model(&Link{}).Where("id = ? AND state = ? AND used < uses", linkID, LinkLive).Update("used", tx.Raw("used + 1"))
	if spent.Error != nil {
		return fmt.Errorf("spend use: %w", spent.Error)
	}
	if spent.RowsAffected == 0 {
		return problem.New(problem.LinkUnusable)
	}
	return nil
}

// Admit lets a waiting phone in, which spends another use, or refuses it for
// good. SESSION_ENDED, LINK_UNUSABLE when no use is left.
func (c *Cases) Admit(ctx context.Context, actor policy.Actor, phoneID string, admit bool) (*Session, error) {
	var p Phone
	if err := c.db.Read(ctx).Take(&p, "id = ? AND agency_id = ?", phoneID, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	return c.command(ctx, actor, p.SessionID, func(tx *database.Tx, s *Session) error {
		if err := tx.Lock().Take(&p, "id = ?", phoneID).Error; err != nil {
			return err
		}
		if s.State.Over() {
			return problem.New(problem.SessionEnded)
		}
		if p.State == Bound && admit || p.State == RefusedPhone && !admit {
			return nil
		}
		if admit {
			if p.State != Waiting {
				return problem.New(problem.SessionNotOpen)
			}
			if err := spendUse(tx, p.LinkID); err != nil {
				return err
			}
			if err := c.markBound(tx, s, &p, actor, journal.PhoneAdmitted); err != nil {
				return err
			}
			return c.save(tx, s)
		}
		p.State = RefusedPhone
		if err := tx.Save(&p).Error; err != nil {
			return fmt.Errorf("refuse phone: %w", err)
		}
		c.journal.Append(tx, s.entry(actor, journal.PhoneRefused, map[string]any{"phone": p.ID}))
		after(tx, c.cut, p.ID)
		return c.save(tx, s)
	})
}

// after tells, when tx has committed, what happened to a phone.
func after(tx *database.Tx, tell []func(phoneID string), phone string) {
	tx.AfterCommit(func() {
		for _, f := range tell {
			f(phone)
		}
	})
}

// Stop notes that the caller is done sending. The session goes on until the
// dispatcher ends it.
func (c *Cases) Stop(ctx context.Context, actor policy.Actor) error {
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, actor.Session)
		if err != nil {
			return err
		}
		if s.State.Over() {
			return nil
		}
		stopped := tx.Model(&Phone{}).Where("id = ? AND stopped_at IS NULL", actor.ID).Update("stopped_at", tx.Now)
		if stopped.Error != nil {
			return fmt.Errorf("stop phone: %w", stopped.Error)
		}
		if stopped.RowsAffected == 0 {
			return nil
		}
		c.journal.Append(tx, s.entry(actor, journal.PhoneStopped, map[string]any{"phone": actor.ID}))
		return c.save(tx, s)
	})
}

// Count adds to what a session received; counts stay when the files are gone.
// kind is the media file's, capture NOW or BEFORE; complete is false for what
// was sealed part-way.
func (c *Cases) Count(tx *database.Tx, sessionID, kind, capture string, complete bool) error {
	column := map[string]string{
		"RECORDING NOW": "recordings", "PHOTO NOW": "photos_now", "PHOTO BEFORE": "photos_before",
		"VIDEO NOW": "videos_now", "VIDEO BEFORE": "videos_before", "SNAPSHOT NOW": "snapshots",
	}[kind+" "+capture]
	if !complete {
		column = "incomplete"
	}
	if column == "" {
		return problem.New(problem.BadInput)
	}
	if err := tx.Model(&Session{}).Where("id = ?", sessionID).Update(column, tx.Raw(column+" + 1")).Error; err != nil {
		return fmt.Errorf("count media: %w", err)
	}
	return nil
}

// Phone reads one phone of an agency. NOT_FOUND.
func (c *Cases) Phone(ctx context.Context, agency, id string) (*Phone, error) {
	var p Phone
	if err := c.db.Read(ctx).Take(&p, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &p, nil
}

// Phones reads the phones of sessions, first come first.
func (c *Cases) Phones(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Phone, error) {
	return ofSessions(c.db.Read(ctx), agency, sessionIDs, "joined_at, id", func(p *Phone) string { return p.SessionID })
}

// Consents reads the answers of sessions, oldest first.
func (c *Cases) Consents(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Consent, error) {
	return ofSessions(c.db.Read(ctx), agency, sessionIDs, "at, id", func(a *Consent) string { return a.SessionID })
}

// PhoneActor finds a phone and answers it as the actor that it acts as.
// NOT_FOUND.
func (c *Cases) PhoneActor(ctx context.Context, id string) (policy.Actor, error) {
	var p Phone
	if err := c.db.Read(ctx).Take(&p, "id = ?", id).Error; err != nil {
		return policy.Actor{}, notFound(err)
	}
	return p.Actor(), nil
}

// AcceptLive accepts a phone's live video at its first packet, as Accept does.
func (c *Cases) AcceptLive(ctx context.Context, phoneID string) error {
	actor, err := c.PhoneActor(ctx, phoneID)
	if err != nil {
		return err
	}
	if !c.streams.Allow(phoneID) {
		return problem.New(problem.RateLimited)
	}
	c.streams.Add(phoneID)
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		_, err := c.Accept(tx, actor)
		return err
	})
}
