package cases

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// LinkState says whether a link can still be used.
type LinkState string

// The states of a link.
const (
	LinkLive       LinkState = "LIVE"
	LinkRevoked    LinkState = "REVOKED"
	LinkExpired    LinkState = "EXPIRED"
	LinkCodeFailed LinkState = "CODE_FAILED"
	LinkEnded      LinkState = "ENDED"
)

// Link is a one-time URL (第2の9): limited in uses and in time, revocable. Its
// secret is known only to the message that carried it.
type Link struct {
	ID         string
	AgencyID   string
	SessionID  string
	SecretHash []byte
	Proof      int
	Uses       int
	Used       int
	IssuedAt   time.Time
	ExpiresAt  time.Time
	CodeSealed []byte
	CodeTries  int
	State      LinkState
	DiedAt     *time.Time

	CodeIssuedAt *time.Time // nil: with the link
}

const (
	secretLength = 22 // base62: 131 bits
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	maxGuesses   = 20 // wrong secrets a minute and address
	maxTroubles  = 20 // troubles a page may report in noteWindow
	noteWindow   = 10 * time.Minute
	maxCodeTries = 5
	codeLife     = 10 * time.Minute // 第5の1(2)
	nonceLife    = 2 * time.Minute
	maxNonces    = 8  // a link; older ones are forgotten
	maxResumes   = 20 // of one phone in noteWindow
)

var secretForm = regexp.MustCompile(`^[0-9A-Za-z]{22}$`)

// Issued is a new link with its secret, which is stored nowhere.
type Issued struct {
	Link   *Link
	Secret string
	// Key seals what dies with the link: the message and the code.
	Key *blob.Key
}

// IssueLink issues a link in notify's transaction, after the second
// confirmation: every check must be recorded (第4の1(1), 第4の2; CHECK_MISSING),
// a supervisor told later needs its reason (REASON_MISSING), and lastFour must
// be the number's last four digits, or the address once more (DIGITS_MISMATCH).
// A link issued before dies with it. checks replaces the recorded ones where it
// is not nil.
func (c *Cases) IssueLink(tx *database.Tx, actor policy.Actor, sessionID, lastFour string, checks *Checks) (*Session, *Issued, error) {
	s, err := lockOwn(tx, actor, sessionID)
	if err != nil {
		return nil, nil, err
	}
	if s.Report == ReportStopped {
		return nil, nil, problem.New(problem.ReportStopped)
	}
	if s.State.Over() {
		return nil, nil, problem.New(problem.SessionEnded)
	}
	if checks != nil {
		s.Checks = *checks
		before := s.ReportedAt
		s.file(actor, tx.Now)
		if before == nil && s.ReportedAt != nil {
			c.journal.Append(tx, s.entry(actor, journal.AdvanceReported, map[string]any{"before": true}))
		}
	}
	k := s.Checks
	if !k.Safe || !k.CameraPhone || !k.Explained || (!k.NumberNotified && s.Email == "") || s.Need == "" {
		return nil, nil, problem.New(problem.CheckMissing)
	}
	if !k.SupervisorTold && s.LateReason == "" {
		return nil, nil, problem.New(problem.ReasonMissing)
	}
	if !confirms(s, lastFour) {
		return nil, nil, problem.New(problem.DigitsMismatch)
	}
	if err := c.guardDrill(tx, s.CaseID, s); err != nil {
		return nil, nil, err
	}
	a, err := c.identity.Agency(tx.Context(), s.AgencyID)
	if err != nil {
		return nil, nil, err
	}
	if err := c.killLinks(tx, s.ID, LinkRevoked); err != nil {
		return nil, nil, err
	}
	l := &Link{
		ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, Proof: newProof(), Uses: a.Settings.LinkUses,
		IssuedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Duration(a.Settings.LinkMinutes) * time.Minute), State: LinkLive,
	}
	secret := newSecret()
	l.SecretHash = hashSecret(secret)
	key, err := c.keys.Ensure(linkKey(l.ID))
	if err != nil {
		return nil, nil, fmt.Errorf("issue link: %w", err)
	}
	if a.Settings.CallerCode {
		if l.CodeSealed, err = key.Seal([]byte(newCode())); err != nil {
			return nil, nil, fmt.Errorf("issue link: %w", err)
		}
	}
	if err := tx.Create(l).Error; err != nil {
		return nil, nil, fmt.Errorf("issue link: %w", err)
	}
	s.reach(LinkSent, tx.Now)
	s.moveOn()
	c.journal.Append(tx, s.entry(actor, journal.LinkIssued, map[string]any{"link": l.ID, "uses": l.Uses, "expiresAt": l.ExpiresAt, "checks": s.Checks}))
	return s, &Issued{l, secret, key}, c.save(tx, s)
}

// confirms is the second confirmation (第4の1(2)): the digits as the caller
// reads them, or the address typed once more.
func confirms(s *Session, typed string) bool {
	want := s.Email
	if want == "" && len(s.Number) >= 4 {
		want = s.Number[len(s.Number)-4:]
	}
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(typed)) == 1
}

func linkKey(id string) string { return "link/" + id }

// LinkKey is the key that seals what dies with a link. blob.ErrNoKey once it
// is dead.
func (c *Cases) LinkKey(linkID string) (*blob.Key, error) { return c.keys.Get(linkKey(linkID)) }

// killLinks ends the session's living links; their keys go after the commit,
// and with them messages and codes.
func (c *Cases) killLinks(tx *database.Tx, sessionID string, st LinkState) error {
	var ids []string
	if err := tx.Model(&Link{}).Where("session_id = ? AND state = ?", sessionID, LinkLive).Pluck("id", &ids).Error; err != nil {
		return fmt.Errorf("end links: %w", err)
	}
	return c.kill(tx, ids, st)
}

func (c *Cases) kill(tx *database.Tx, ids []string, st LinkState) error {
	if len(ids) == 0 {
		return nil
	}
	err := tx.Model(&Link{}).Where("id IN ?", ids).Updates(map[string]any{"state": st, "died_at": tx.Now, "code_sealed": nil}).Error
	if err != nil {
		return fmt.Errorf("end links: %w", err)
	}
	if err := tx.Where("link_id IN ?", ids).Delete(&Nonce{}).Error; err != nil {
		return fmt.Errorf("end links: %w", err)
	}
	tx.AfterCommit(func() {
		for _, id := range ids {
			_ = c.keys.Destroy(linkKey(id)) // SweepLinkKeys tries again
		}
	})
	return nil
}

// SweepLinkKeys destroys the keys of links that are dead or were never
// committed: what a crash between commit and destruction left behind.
func (c *Cases) SweepLinkKeys(ctx context.Context) error {
	names, err := c.keys.List("link/")
	if err != nil {
		return fmt.Errorf("sweep link keys: %w", err)
	}
	for _, name := range names {
		var alive int64
		id := name[len("link/"):]
		if err := c.db.Read(ctx).Model(&Link{}).Where("id = ? AND state = ?", id, LinkLive).Count(&alive).Error; err != nil {
			return fmt.Errorf("sweep link keys: %w", err)
		}
		if alive == 0 {
			if err := c.keys.Destroy(name); err != nil {
				return fmt.Errorf("sweep link keys: %w", err)
			}
		}
	}
	return nil
}

func newSecret() string {
	b := make([]byte, secretLength)
	for i := range b {
		b[i] = base62[randomBelow(len(base62))]
	}
	return string(b)
}

func randomBelow(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // the system's randomness does not fail
	}
	return int(v.Int64())
}

func newCode() string { return fmt.Sprintf("%06d", randomBelow(1_000_000)) }

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

const proofList = 256

func newProof() int {
	first, second := randomBelow(proofList), randomBelow(proofList-1)
	if second >= first {
		second++
	}
	return first*proofList + second
}

// Proof is the two words of a link in each language.
type Proof struct{ Ja, En []string }

// ProofWords are the words that the dispatcher reads aloud.
func (l *Link) ProofWords() Proof {
	first, second := l.Proof/proofList, l.Proof%proofList
	two := func(language string) []string {
		return []string{proofWords[language][first], proofWords[language][second]}
	}
	return Proof{Ja: two("ja"), En: two("en")}
}

// Code is the access code to read aloud, or nil where none applies, the link is
// dead or the code's ten minutes are over.
func (c *Cases) Code(l *Link) (*string, error) {
	if l.State != LinkLive || l.CodeSealed == nil || c.db.Now().After(l.codeSince().Add(codeLife)) {
		return nil, nil
	}
	key, err := c.keys.Get(linkKey(l.ID))
	if errors.Is(err, blob.ErrNoKey) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	code, err := key.Open(l.CodeSealed)
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	text := string(code)
	return &text, nil
}

// find looks a secret up. Every dead or unknown link answers the same; of a
// known one the centre learns the true reason. joining also refuses a link
// whose time to join is over.
func (c *Cases) find(ctx context.Context, secret string, joining bool) (*Link, error) {
	var found []Link
	if secretForm.MatchString(secret) {
		if err := c.db.Read(ctx).Limit(1).Find(&found, "secret_hash = ?", hashSecret(secret)).Error; err != nil {
			return nil, fmt.Errorf("find link: %w", err)
		}
	}
	if len(found) == 0 {
		return nil, c.unusable(ctx)
	}
	l := &found[0]
	why := l.State
	if why == LinkLive && joining && !c.db.Now().Before(l.ExpiresAt) {
		why = LinkExpired
	}
	if why != LinkLive {
		return nil, c.refuse(ctx, l, string(why))
	}
	return l, nil
}

// unusable counts a secret that did not open anything and gives the one answer
// for it. A dead link's counts like an unknown one's: else whoever has used up
// their guesses would be told one from the other.
func (c *Cases) unusable(ctx context.Context) error {
	address := identity.Address(ctx)
	if !c.guesses.Allow(address) {
		return problem.New(problem.RateLimited)
	}
	c.guesses.Add(address)
	return problem.New(problem.LinkUnusable)
}

// refuse journals why a known link was refused and gives the answer that the
// stranger sees. The answer does not wait for the journal: nobody must learn from
// its time that a link was known.
func (c *Cases) refuse(ctx context.Context, l *Link, why string) error {
	note := func(ctx context.Context) error {
		var s Session
		if err := c.db.Read(ctx).Select("case_id").Take(&s, "id = ?", l.SessionID).Error; err != nil {
			return fmt.Errorf("refuse link: %w", err)
		}
		return c.journal.Refuse(ctx, journal.Entry{
			Agency: l.AgencyID, Actor: policy.Actor{Kind: policy.Caller, Role: policy.CallerRole, Agency: l.AgencyID},
			Type: journal.LinkRefused, Subject: journal.Subject{Kind: policy.Link, ID: l.ID}, CaseID: s.CaseID, SessionID: l.SessionID,
			Payload: map[string]any{"reason": why},
		})
	}
	if c.beside != nil {
		c.beside("journal refusal", note)
	} else if err := note(ctx); err != nil {
		return err
	}
	return c.unusable(ctx)
}

// LinkTerms is what a caller's page shows before consent. No fact of the case
// is in it.
type LinkTerms struct {
	Agency       *identity.Agency
	Proof        Proof
	Asked        Mode
	Language     string
	CodeRequired bool
	Terms        []Terms
	Drill        bool // the page says so (第11)
}

// Terms reads what a link's page shows, and changes nothing. A link whose time
// to join is over still shows it to a phone that wants to resume. LINK_UNUSABLE.
func (c *Cases) Terms(ctx context.Context, secret string) (*LinkTerms, error) {
	l, err := c.find(ctx, secret, false)
	if err != nil {
		return nil, err
	}
	return c.terms(ctx, l)
}

func (c *Cases) terms(ctx context.Context, l *Link) (*LinkTerms, error) {
	s, err := c.Session(ctx, l.AgencyID, l.SessionID)
	if err != nil {
		return nil, err
	}
	a, err := c.identity.Agency(ctx, l.AgencyID)
	if err != nil {
		return nil, err
	}
	drill, err := c.IsDrill(ctx, s)
	if err != nil {
		return nil, err
	}
	return &LinkTerms{
		Agency: a, Proof: l.ProofWords(), Asked: s.Asked, Language: s.Language, CodeRequired: l.CodeSealed != nil, Terms: termsIn(a.Settings.Languages, s.Language), Drill: drill,
	}, nil
}

// Nonce is a challenge that a bound phone signs to resume; each is good once.
type Nonce struct {
	Hash      []byte `gorm:"primaryKey"`
	LinkID    string
	ExpiresAt time.Time
}

// OpenLink is the caller's tap. It spends nothing and refuses nobody whose link
// lives; it answers the terms and a nonce for a phone that was bound before.
// LINK_UNUSABLE.
func (c *Cases) OpenLink(ctx context.Context, secret string) (*LinkTerms, string, error) {
	l, err := c.find(ctx, secret, false)
	if err != nil {
		return nil, "", err
	}
	nonce := identity.NewToken()
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, l.SessionID)
		if err != nil {
			return err
		}
		if !s.State.Over() && s.reach(Opened, tx.Now) {
			s.moveOn()
			c.journal.Append(tx, s.entry(callerActor(s), journal.LinkOpened, map[string]any{"link": l.ID}))
			if err := c.save(tx, s); err != nil {
				return err
			}
		}
		keep := tx.Model(&Nonce{}).Select("hash").Where("link_id = ?", l.ID).Order("expires_at DESC").Limit(maxNonces - 1)
		if err := tx.Where("link_id = ? AND hash NOT IN (?)", l.ID, keep).Delete(&Nonce{}).Error; err != nil {
			return fmt.Errorf("forget nonces: %w", err)
		}
		return tx.Create(&Nonce{Hash: identity.HashToken(nonce), LinkID: l.ID, ExpiresAt: tx.Now.Add(nonceLife)}).Error
	})
	if err != nil {
		return nil, "", fmt.Errorf("open link: %w", err)
	}
	t, err := c.terms(ctx, l)
	return t, nonce, err
}

func callerActor(s *Session) policy.Actor {
	return policy.Actor{Kind: policy.Caller, Role: policy.CallerRole, Agency: s.AgencyID, Session: s.ID}
}

// phoneActor is the phone of a session as the actor.
func phoneActor(s *Session, phone string) policy.Actor {
	if s.Kind == StaffSession {
		return (&Phone{ID: phone, AgencyID: s.AgencyID, SessionID: s.ID, StaffLinkID: s.StaffLinkID}).Actor()
	}
	a := callerActor(s)
	a.ID = phone
	return a
}

// trouble is what a page may report of itself.
var trouble = map[Stall]bool{CameraDenied: true, LocationDenied: true, UnsupportedBrowser: true, Network: true}

// Trouble notes what stands in the caller's way. LINK_UNUSABLE, BAD_INPUT.
func (c *Cases) Trouble(ctx context.Context, secret string, why Stall) error {
	if !trouble[why] {
		return problem.New(problem.BadInput)
	}
	return c.note(ctx, secret, why, journal.SessionStalled)
}

// Mismatch notes that the page's words are not those the officer says: either
// the page or the voice is false. LINK_UNUSABLE.
func (c *Cases) Mismatch(ctx context.Context, secret string) error {
	return c.note(ctx, secret, ProofMismatch, journal.ProofMismatched)
}

func (c *Cases) note(ctx context.Context, secret string, why Stall, what journal.Type) error {
	l, err := c.find(ctx, secret, false)
	if err != nil {
		return err
	}
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, l.SessionID)
		if err != nil {
			return err
		}
		said := s.Stall == why || why == LocationDenied && s.LocationDeniedAt != nil
		if s.State.Over() || said || !c.notes.Allow(l.ID) {
			return nil // said already, or too often
		}
		c.notes.Add(l.ID)
		if why == LocationDenied {
			s.LocationDeniedAt = &tx.Now
		}
		if why != LocationDenied || s.Asked == PositionMode {
			s.stall(why, tx.Now) // a position that is not given keeps nothing else from being sent
		}
		c.journal.Append(tx, s.entry(callerActor(s), what, map[string]any{"reason": why}))
		return c.save(tx, s)
	})
}

// EnterCode checks the access code (第5の1(2), 第4の1(2)) and answers a pass for
// join. Five wrong codes end the link; one that has run out counts as none of
// them. CODE_WRONG, LINK_UNUSABLE.
func (c *Cases) EnterCode(ctx context.Context, secret, code string) (pass string, err error) {
	l, err := c.find(ctx, secret, true)
	if err != nil {
		return "", err
	}
	if l.CodeSealed == nil {
		return "", problem.New(problem.BadInput)
	}
	var wrong error
	expired, dead := false, ""
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, l.SessionID)
		if err != nil {
			return err
		}
		var now Link
		if err := tx.Lock().Take(&now, "id = ?", l.ID).Error; err != nil {
			return err
		}
		right, err := c.Code(&now)
		if err != nil {
			return err
		}
		if now.State != LinkLive {
			dead = string(now.State)
			return nil
		}
		if right == nil { // run out: it is no guess, and the dispatcher has a new one made
			wrong, expired = problem.New(problem.CodeWrong), true
			return nil
		}
		if subtle.ConstantTimeCompare([]byte(*right), []byte(code)) == 1 {
			if s.reach(CodeOK, tx.Now) {
				s.moveOn()
				c.journal.Append(tx, s.entry(callerActor(s), journal.CodeAccepted, nil))
				return c.save(tx, s)
			}
			return nil
		}
		wrong = problem.New(problem.CodeWrong)
		now.CodeTries++
		if err := tx.Model(&now).Update("code_tries", now.CodeTries).Error; err != nil {
			return err
		}
		s.stall(CodeFailed, tx.Now)
		c.journal.Append(tx, s.entry(callerActor(s), journal.CodeRefused, map[string]any{"tries": now.CodeTries}))
		if now.CodeTries >= maxCodeTries {
			if err := c.kill(tx, []string{l.ID}, LinkCodeFailed); err != nil {
				return err
			}
		}
		return c.save(tx, s)
	})
	if err != nil {
		return "", fmt.Errorf("enter code: %w", err)
	}
	if dead != "" {
		return "", c.refuse(ctx, l, dead)
	}
	if expired {
		s, err := c.Session(ctx, l.AgencyID, l.SessionID)
		if err == nil {
			err = c.journal.Refuse(ctx, s.entry(callerActor(s), journal.CodeRefused, map[string]any{"expired": true}))
		}
		if err != nil {
			return "", fmt.Errorf("enter code: %w", err)
		}
	}
	if wrong != nil {
		return "", wrong
	}
	pass, _ = c.bearers.Mint(identity.Bearer{Use: identity.UseCode, Session: l.SessionID, Object: l.ID}, codeLife)
	return pass, nil
}

// Links reads the links of sessions, oldest first.
func (c *Cases) Links(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Link, error) {
	return ofSessions(c.db.Read(ctx), agency, sessionIDs, "issued_at, id", func(l *Link) string { return l.SessionID })
}

// ofSessions reads rows that belong to sessions and groups them.
func ofSessions[T any](q *gorm.DB, agency string, sessionIDs []string, order string, session func(*T) string) (map[string][]*T, error) {
	var found []*T
	if err := q.Where("agency_id = ? AND session_id IN ?", agency, sessionIDs).Order(order).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read of sessions: %w", err)
	}
	bySession := make(map[string][]*T, len(sessionIDs))
	for _, v := range found {
		bySession[session(v)] = append(bySession[session(v)], v)
	}
	return bySession, nil
}

const expireBatch = 100

// maxSession is the longest that a session stays open: one that was forgotten
// must not keep its facts from being erased.
const maxSession = 24 * time.Hour

// ExpireDue ends what ran out: links whose time to join is over and which no
// phone may still use, with the sessions that nobody joined, and sessions that
// nobody ended within a day. It answers how many sessions expired.
func (c *Cases) ExpireDue(ctx context.Context) (int, error) {
	expired, err := c.expireLinks(ctx)
	if err != nil {
		return expired, err
	}
	var forgotten []string
	err = c.db.Read(ctx).Model(&Session{}).Where("state NOT IN ? AND requested_at <= ?", overStates, c.db.Now().Add(-maxSession)).
		Order("requested_at").Limit(expireBatch).Pluck("id", &forgotten).Error
	if err != nil {
		return expired, fmt.Errorf("find forgotten sessions: %w", err)
	}
	for _, id := range forgotten {
		err := c.db.InTx(ctx, func(tx *database.Tx) error {
			s, err := lockSession(tx, id)
			if err != nil || s.State.Over() {
				return err
			}
			expired++
			return c.finish(tx, s, Expired, LinkExpired, s.entry(policy.SystemActor(), journal.SessionExpired, map[string]any{"reason": "FORGOTTEN"}))
		})
		if err != nil {
			return expired, fmt.Errorf("expire session: %w", err)
		}
	}
	return expired, nil
}

func (c *Cases) expireLinks(ctx context.Context) (int, error) {
	var due []Link
	err := c.db.Read(ctx).Where("state = ? AND expires_at <= ?", LinkLive, c.db.Now()).
		Where("NOT EXISTS (SELECT 1 FROM phones WHERE phones.session_id = links.session_id AND phones.state <> ?)", RefusedPhone).
		Order("expires_at").Limit(expireBatch).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find expired links: %w", err)
	}
	expired := 0
	for _, l := range due {
		err := c.db.InTx(ctx, func(tx *database.Tx) error {
			s, err := lockSession(tx, l.SessionID)
			if err != nil {
				return err
			}
			var joined int64
			if err := tx.Model(&Phone{}).Where("session_id = ? AND state <> ?", s.ID, RefusedPhone).Count(&joined).Error; err != nil {
				return err
			}
			if s.State.Over() || joined > 0 {
				return nil // joined or ended in the meantime
			}
			if s.Stall == "" {
				s.Stall = NotOpened
			}
			why := s.Stall
			expired++
			c.journal.Append(tx, s.entry(policy.SystemActor(), journal.LinkExpired, map[string]any{"link": l.ID}))
			return c.finish(tx, s, Expired, LinkExpired, s.entry(policy.SystemActor(), journal.SessionExpired, map[string]any{"reason": why}))
		})
		if err != nil {
			return expired, fmt.Errorf("expire link: %w", err)
		}
	}
	return expired, nil
}
