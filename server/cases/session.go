package cases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Kind says whose phone a session is.
type Kind string

// The kinds.
const (
	CallerSession Kind = "CALLER"
	StaffSession  Kind = "STAFF"
)

// Mode is what a caller is asked for. One link carries all of them.
type Mode string

// The modes.
const (
	PhotoMode    Mode = "PHOTO"
	StoredMode   Mode = "STORED"
	LiveMode     Mode = "LIVE"
	PositionMode Mode = "POSITION"
)

// State is how far a session has come. A stage reached is never taken back.
type State string

// The states, in order; the last four end it.
const (
	Requested State = "REQUESTED"
	LinkSent  State = "LINK_SENT"
	Opened    State = "OPENED"
	CodeOK    State = "CODE_OK"
	Consented State = "CONSENTED"
	Connected State = "CONNECTED"
	Ended     State = "ENDED"
	Revoked   State = "REVOKED"
	Expired   State = "EXPIRED"
	Failed    State = "FAILED"
)

var rank = map[State]int{Requested: 0, LinkSent: 1, Opened: 2, CodeOK: 3, Consented: 4, Connected: 5, Ended: 6, Revoked: 6, Expired: 6, Failed: 6}

// Over tells whether nothing more is accepted.
func (s State) Over() bool { return rank[s] == rank[Ended] }

// Stall is why a session does not move on.
type Stall string

// The reasons.
const (
	SMSUndelivered     Stall = "SMS_UNDELIVERED"
	NotOpened          Stall = "NOT_OPENED"
	RefusedConsent     Stall = "REFUSED"
	CameraDenied       Stall = "CAMERA_DENIED"
	LocationDenied     Stall = "LOCATION_DENIED"
	UnsupportedBrowser Stall = "UNSUPPORTED_BROWSER"
	CodeFailed         Stall = "CODE_FAILED"
	ProofMismatch      Stall = "PROOF_MISMATCH"
	Network            Stall = "NETWORK"
)

// EndReason is why somebody ended a session (第4の1(3), 第4の3(2)).
type EndReason string

// The reasons.
const (
	Done            EndReason = "DONE"
	FalseReport     EndReason = "FALSE_REPORT"
	ImproperFilming EndReason = "IMPROPER_FILMING"
	Unsafe          EndReason = "UNSAFE"
	Misdirected     EndReason = "MISDIRECTED"
	OtherReason     EndReason = "OTHER"
)

// Checks are what the dispatcher confirmed before the link (第4の1(1), 第4の2).
type Checks struct {
	Safe           bool `json:"safe"`
	CameraPhone    bool `json:"cameraPhone"`
	NumberNotified bool `json:"numberNotified"`
	Explained      bool `json:"explained"`
	SupervisorTold bool `json:"supervisorTold"`
}

// Session is one video report by one phone into one case (映像通報, 第2の3).
type Session struct {
	ID            string
	AgencyID      string
	CaseID        string
	Kind          Kind
	Asked         Mode
	State         State
	DispatcherID  string `gorm:"serializer:optional"` // empty: an officer's that nobody has taken yet
	Number        string
	Email         string
	EmailReason   string
	Language      string
	Need          string
	Checks        Checks `gorm:"serializer:json"`
	LateReason    string
	ReportedAt    *time.Time
	RequestedAt   time.Time
	LinkSentAt    *time.Time
	OpenedAt      *time.Time
	CodeOkAt      *time.Time
	ConsentedAt   *time.Time
	ConnectedAt   *time.Time
	FirstFrameAt  *time.Time
	EndedAt       *time.Time
	RevokedAt     *time.Time
	ExpiredAt     *time.Time
	FailedAt      *time.Time
	Stall         Stall
	StalledAt     *time.Time
	EndReason     EndReason
	EndedBy       string
	Misdirected   bool
	Live          bool
	ChangedAt     time.Time
	PhotosNow     int
	PhotosBefore  int
	VideosNow     int
	VideosBefore  int
	Recordings    int
	Snapshots     int
	Incomplete    int
	PositionCount int
	PositionHead  []byte
	ErasedAt      *time.Time

	Report           ReportState
	ReportAnsweredAt *time.Time
	ReportAnsweredBy string
	ReportReason     string
	LocationDeniedAt *time.Time
	// Of an officer's video report (第4の4).
	StaffLinkID   string `gorm:"serializer:optional"`
	StaffMemberID string `gorm:"serializer:optional"`
	DeclaredAt    *time.Time
	UsageChasedAt *time.Time
}

// stageTime is where a stage's time is kept.
func (s *Session) stageTime(st State) **time.Time {
	switch st {
	case LinkSent:
		return &s.LinkSentAt
	case Opened:
		return &s.OpenedAt
	case CodeOK:
		return &s.CodeOkAt
	case Consented:
		return &s.ConsentedAt
	case Connected:
		return &s.ConnectedAt
	case Ended:
		return &s.EndedAt
	case Revoked:
		return &s.RevokedAt
	case Expired:
		return &s.ExpiredAt
	case Failed:
		return &s.FailedAt
	}
	return nil
}

// Stage is one stage that a session reached.
type Stage struct {
	State State
	At    time.Time
}

// Stages lists the stages reached, in order of the way.
func (s *Session) Stages() []Stage {
	reached := []Stage{{Requested, s.RequestedAt}}
	for _, st := range []State{LinkSent, Opened, CodeOK, Consented, Connected, Ended, Revoked, Expired, Failed} {
		if at := *s.stageTime(st); at != nil {
			reached = append(reached, Stage{st, *at})
		}
	}
	return reached
}

// OverAt is when nothing more was accepted, or nil.
func (s *Session) OverAt() *time.Time {
	for _, st := range overStates {
		if at := *s.stageTime(st); at != nil {
			return at
		}
	}
	return nil
}

// reach notes a stage. It tells whether it is new; the state only moves forward.
func (s *Session) reach(st State, now time.Time) bool {
	at := s.stageTime(st)
	if *at != nil {
		return false
	}
	*at = &now
	if rank[st] > rank[s.State] {
		s.State = st
	}
	return true
}

func (s *Session) stall(why Stall, now time.Time) {
	s.Stall, s.StalledAt = why, &now
}

func (s *Session) moveOn() { s.Stall, s.StalledAt = "", nil }

func (s *Session) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{
		Agency: s.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Session, ID: s.ID},
		CaseID: s.CaseID, SessionID: s.ID, Payload: payload,
	}
}

// MayCommand tells whether the actor may act on the session: its dispatcher
// (第3の3), or any supervisor of the agency (第4の2).
func (s *Session) MayCommand(actor policy.Actor) bool {
	return actor.Agency == s.AgencyID && (actor.Role == policy.Supervisor || actor.ID == s.DispatcherID)
}

// MayOpen refuses whoever may not use what the session brings as their own:
// another agency's is not found, a colleague's is forbidden (第4の2 gives any
// session to supervisors), and what came in by mistake is a supervisor's to open
// (第4の3(3)). Looking at a colleague's is MayLook's to say.
func (s *Session) MayOpen(actor policy.Actor) error {
	switch {
	case s.AgencyID != actor.Agency:
		return problem.New(problem.NotFound)
	case !s.MayCommand(actor):
		return problem.New(problem.Forbidden)
	case s.Misdirected && actor.Role != policy.Supervisor:
		return problem.New(problem.Misdirected)
	}
	return nil
}

// ShownNumber is the caller's number as the actor may see it now: whole for the
// session's dispatcher and the supervisors while it lasts, else only the last
// three digits.
func (s *Session) ShownNumber(actor policy.Actor) (number string, whole bool) {
	if !s.State.Over() && s.MayCommand(actor) {
		return s.Number, true
	}
	if len(s.Number) > 3 {
		return s.Number[len(s.Number)-3:], false
	}
	return "", false
}

// Request describes a video report to ask for.
type Request struct {
	CaseID         string
	Asked          Mode
	Need           string
	Checks         Checks
	LateReason     string
	Number         string
	NotifiedNumber string
	Email          string
	EmailReason    string
	Language       string
}

// RequestVideo records why and whom to ask (第4の1(1)). Nothing is sent yet. It
// tells whether the number differs from the one that was notified.
// NUMBER_INVALID, EMAIL_INVALID, REASON_MISSING, NOT_FOUND, CASE_CLOSED.
func (c *Cases) RequestVideo(ctx context.Context, actor policy.Actor, in Request) (s *Session, differs bool, err error) {
	s = &Session{
		ID: identity.NewID(), AgencyID: actor.Agency, CaseID: in.CaseID, Kind: CallerSession, Asked: in.Asked, State: Requested,
		DispatcherID: actor.ID, Need: strings.TrimSpace(in.Need), Checks: in.Checks, LateReason: strings.TrimSpace(in.LateReason), Language: in.Language,
	}
	if s.Language != "" && !slices.Contains(identity.Languages, s.Language) || tooLong(s.Need, maxNeed) || tooLong(s.LateReason, maxReason) {
		return nil, false, problem.New(problem.BadInput)
	}
	if s.Need == "" {
		return nil, false, problem.New(problem.ReasonMissing)
	}
	if differs, err = s.aim(Destination{in.Number, in.NotifiedNumber, in.Email, in.EmailReason}); err != nil {
		return nil, false, err
	}
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		var k Case
		if err := tx.Lock().Take(&k, "id = ? AND agency_id = ?", in.CaseID, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if k.ErasedAt != nil {
			return problem.New(problem.CaseClosed)
		}
		if s.Language, err = c.offered(tx.Context(), s.AgencyID, s.Language); err != nil {
			return err
		}
		if err := c.guardDrill(tx, k.ID, s); err != nil {
			return err
		}
		if err := c.turned(tx, actor, &k); err != nil {
			return err
		}
		s.RequestedAt, s.ChangedAt = tx.Now, tx.Now
		s.file(actor, tx.Now)
		if err := tx.Create(s).Error; err != nil {
			return err
		}
		k.OpenSessions, k.ClosedAt, k.ChangedAt = k.OpenSessions+1, nil, tx.Now
		if err := tx.Save(&k).Error; err != nil {
			return err
		}
		c.journal.Append(tx, s.entry(actor, journal.VideoRequested, map[string]any{
			"asked": s.Asked, "need": s.Need, "checks": s.Checks, "number": s.Number, "email": s.Email, "emailReason": s.EmailReason, "numberDiffers": differs, "language": s.Language,
		}))
		c.journal.Append(tx, s.entry(actor, journal.AdvanceReported, map[string]any{"before": in.Checks.SupervisorTold, "lateReason": s.LateReason}))
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("request video: %w", err)
	}
	return s, differs, nil
}

func tooLong(s string, max int) bool {
	return utf8.RuneCountInString(s) > max || !utf8.ValidString(s) || strings.ContainsRune(s, 0)
}

// lockSession reads a session for update.
func lockSession(tx *database.Tx, id string) (*Session, error) {
	if id == "" { // a registered phone that has started nothing
		return nil, problem.New(problem.NotFound)
	}
	var s Session
	if err := tx.Lock().Take(&s, "id = ?", id).Error; err != nil {
		return nil, notFound(err)
	}
	return &s, nil
}

// lockOwn reads a session for update that the actor may command. What is
// another agency's is not found; what is another dispatcher's is forbidden.
func lockOwn(tx *database.Tx, actor policy.Actor, id string) (*Session, error) {
	s, err := lockSession(tx, id)
	if err != nil {
		return nil, err
	}
	if s.AgencyID != actor.Agency {
		return nil, problem.New(problem.NotFound)
	}
	if !s.MayCommand(actor) {
		return nil, problem.New(problem.Forbidden)
	}
	return s, nil
}

// save writes a session and marks its case as changed.
func (c *Cases) save(tx *database.Tx, s *Session) error {
	s.ChangedAt = tx.Now
	if err := tx.Save(s).Error; err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	if err := tx.Model(&Case{}).Where("id = ?", s.CaseID).Update("changed_at", tx.Now).Error; err != nil {
		return fmt.Errorf("touch case: %w", err)
	}
	return nil
}

// command changes a session that the actor may command, in one transaction.
func (c *Cases) command(ctx context.Context, actor policy.Actor, id string, change func(*database.Tx, *Session) error) (*Session, error) {
	var s *Session
	err := c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if s, err = lockOwn(tx, actor, id); err != nil {
			return err
		}
		return change(tx, s)
	})
	return s, err
}

// AskMode asks the caller for another way of helping.
func (c *Cases) AskMode(ctx context.Context, actor policy.Actor, id string, m Mode) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		if s.State.Over() {
			return problem.New(problem.SessionEnded)
		}
		if s.Asked == m {
			return nil
		}
		s.Asked = m
		if m == PositionMode && s.LocationDeniedAt != nil && s.Stall == "" {
			s.stall(LocationDenied, tx.Now)
		} else if m != PositionMode && s.Stall == LocationDenied {
			s.moveOn()
		}
		c.journal.Append(tx, s.entry(actor, journal.ModeAsked, map[string]any{"mode": m}))
		return c.save(tx, s)
	})
}

// FirstFrame notes that a console decoded the first frame. Later ones change
// nothing.
func (c *Cases) FirstFrame(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	var s *Session
	err := c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if s, err = lockSession(tx, id); err != nil {
			return err
		}
		if s.AgencyID != actor.Agency {
			return problem.New(problem.NotFound)
		}
		if s.FirstFrameAt != nil || s.ConnectedAt == nil {
			return nil
		}
		s.FirstFrameAt = &tx.Now
		c.journal.Append(tx, s.entry(actor, journal.FirstFrameShown, nil))
		return c.save(tx, s)
	})
	return s, err
}

// End ends a session (第4の1(3), 第4の3(2)): from the commit on nothing more is
// accepted. Ending one that is over answers it as it is.
func (c *Cases) End(ctx context.Context, actor policy.Actor, id string, reason EndReason) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		if s.State.Over() {
			return nil
		}
		s.EndReason, s.EndedBy = reason, actor.ID
		if reason == Misdirected {
			s.Misdirected = true
			if err := c.endShares(tx, actor, s.ID); err != nil {
				return err
			}
		}
		return c.finish(tx, s, Ended, LinkEnded, s.entry(actor, journal.SessionEnded, map[string]any{"reason": reason}))
	})
}

// Revoke destroys the link (第4の3(3)): nothing more is accepted.
func (c *Cases) Revoke(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		if s.State.Over() {
			return nil
		}
		s.EndedBy = actor.ID
		return c.finish(tx, s, Revoked, LinkRevoked, s.entry(actor, journal.LinkRevoked, nil))
	})
}

// MarkMisdirected is the mis-sent step (第4の3(3)) in the caller's transaction:
// the link dies, what came in is hidden, and a contact task is opened for the
// number or address that got the message. notify adds the corrective message.
// It may be done after the end, too.
func (c *Cases) MarkMisdirected(tx *database.Tx, actor policy.Actor, id string, number, email string) (*Session, error) {
	s, err := lockOwn(tx, actor, id)
	if err != nil {
		return nil, err
	}
	if s.Misdirected && s.State.Over() {
		return s, nil
	}
	if s.LinkSentAt == nil {
		return nil, problem.New(problem.SessionNotOpen)
	}
	s.Misdirected = true
	if err := c.endShares(tx, actor, s.ID); err != nil {
		return nil, err
	}
	c.journal.Append(tx, s.entry(actor, journal.SessionMisdirected, nil))
	task := ContactTask{ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, Number: number, Email: email, OpenedAt: tx.Now}
	if err := tx.Create(&task).Error; err != nil {
		return nil, fmt.Errorf("open contact task: %w", err)
	}
	c.journal.Append(tx, s.entry(actor, journal.ContactTaskOpened, map[string]any{"task": task.ID}))
	if s.State.Over() {
		return s, c.save(tx, s)
	}
	s.EndReason, s.EndedBy = Misdirected, actor.ID
	return s, c.finish(tx, s, Revoked, LinkRevoked, s.entry(actor, journal.LinkRevoked, map[string]any{"misdirected": true}))
}

// ContactTask reminds somebody to call a wrong recipient (第4の3(3)).
type ContactTask struct {
	ID        string
	AgencyID  string
	SessionID string
	Number    string
	Email     string
	OpenedAt  time.Time
	DoneAt    *time.Time
	DoneBy    string
	Outcome   string
}

// ContactTasks reads the contact tasks of sessions, oldest first.
func (c *Cases) ContactTasks(ctx context.Context, agency string, sessionIDs []string) (map[string][]*ContactTask, error) {
	return ofSessions(c.db.Read(ctx), agency, sessionIDs, "opened_at, id", func(t *ContactTask) string { return t.SessionID })
}

// CloseContactTask notes that whoever got the message was reached, or cannot
// be. Where the case's facts are erased already, the number that was kept for
// the task goes now. REASON_MISSING, BAD_INPUT.
func (c *Cases) CloseContactTask(ctx context.Context, actor policy.Actor, taskID, outcome string) (*Session, error) {
	outcome = strings.TrimSpace(outcome)
	if outcome == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(outcome, maxReason) {
		return nil, problem.New(problem.BadInput)
	}
	var t ContactTask
	if err := c.db.Read(ctx).Take(&t, "id = ? AND agency_id = ?", taskID, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	return c.command(ctx, actor, t.SessionID, func(tx *database.Tx, s *Session) error {
		if err := tx.Lock().Take(&t, "id = ?", taskID).Error; err != nil {
			return err
		}
		if t.DoneAt != nil {
			return nil
		}
		t.DoneAt, t.DoneBy, t.Outcome = &tx.Now, actor.ID, outcome
		said := map[string]any{"task": t.ID, "outcome": outcome}
		if s.ErasedAt != nil {
			t.Number, t.Email, t.Outcome, s.Number, s.Email, s.EmailReason = "", "", "", "", "", ""
			delete(said, "outcome")
			for _, f := range c.erase {
				if err := f(tx, []string{s.ID}); err != nil {
					return err
				}
			}
		}
		if err := tx.Save(&t).Error; err != nil {
			return fmt.Errorf("close contact task: %w", err)
		}
		c.journal.Append(tx, s.entry(actor, journal.ContactTaskClosed, said))
		return c.save(tx, s)
	})
}

// finish ends a session in one of the four ways.
func (c *Cases) finish(tx *database.Tx, s *Session, st State, link LinkState, e journal.Entry) error {
	s.reach(st, tx.Now)
	s.moveOn()
	s.Live = false
	c.journal.Append(tx, e)
	if s.PositionCount > 0 {
		c.journal.Append(tx, s.entry(policy.SystemActor(), journal.PositionsClosed, map[string]any{"count": s.PositionCount, "head": fmt.Sprintf("%x", s.PositionHead)}))
	}
	if err := c.killLinks(tx, s.ID, link); err != nil {
		return err
	}
	if err := c.save(tx, s); err != nil {
		return err
	}
	var k Case
	if err := tx.Lock().Take(&k, "id = ?", s.CaseID).Error; err != nil {
		return fmt.Errorf("close case: %w", err)
	}
	if k.OpenSessions--; k.OpenSessions <= 0 {
		k.OpenSessions, k.ClosedAt = 0, &tx.Now
	}
	if err := tx.Save(&k).Error; err != nil {
		return fmt.Errorf("close case: %w", err)
	}
	id := s.ID
	tx.AfterCommit(func() {
		for _, f := range c.over {
			f(id)
		}
	})
	return nil
}

// SetLive notes that live video began, paused or stopped, as the live room saw
// it. Pictures that stop coming are a stall of the network, until they come
// again. A session that is over stays as it is.
func (c *Cases) SetLive(ctx context.Context, id string, live bool, what journal.Type, phone string) error {
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, id)
		if err != nil {
			return err
		}
		c.journal.Append(tx, s.entry(phoneActor(s, phone), what, nil))
		s.Live = live && !s.State.Over()
		switch {
		case s.State.Over():
		case what == journal.LiveStalled:
			s.stall(Network, tx.Now)
		case s.Live && s.Stall == Network:
			s.moveOn()
		}
		return c.save(tx, s)
	})
}

// NoteDataCap notes, once, that a phone's live video has cost its caller what the
// agency lets a video report cost (第4の2(2)エ).
func (c *Cases) NoteDataCap(ctx context.Context, id, phone string) error {
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, id)
		if err != nil || !s.Live {
			return err
		}
		s.Live = false
		c.journal.Append(tx, s.entry(phoneActor(s, phone), journal.DataCapReached, nil))
		return c.save(tx, s)
	})
}

// Undelivered notes, in notify's transaction, that the message with the link
// did not reach the phone.
func (c *Cases) Undelivered(tx *database.Tx, id string) error {
	s, err := lockSession(tx, id)
	if err != nil || s.State != LinkSent {
		return err
	}
	s.stall(SMSUndelivered, tx.Now)
	c.journal.Append(tx, s.entry(policy.SystemActor(), journal.SessionStalled, map[string]any{"reason": SMSUndelivered}))
	return c.save(tx, s)
}

// Reached notes, in notify's transaction, that a message reached the phone after
// all.
func (c *Cases) Reached(tx *database.Tx, id string) error {
	s, err := lockSession(tx, id)
	if err != nil || s.State.Over() || s.Stall != SMSUndelivered {
		return err
	}
	s.moveOn()
	return c.save(tx, s)
}

// Session reads one session of an agency. NOT_FOUND.
func (c *Cases) Session(ctx context.Context, agency, id string) (*Session, error) {
	if id == "" { // a registered phone that has started nothing
		return nil, problem.New(problem.NotFound)
	}
	q := c.db.Read(ctx)
	var s Session
	if err := q.Take(&s, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &s, nil
}

// Sessions reads sessions of an agency by id; what is not there is left out.
func (c *Cases) Sessions(ctx context.Context, agency string, ids []string) (map[string]*Session, error) {
	q := c.db.Read(ctx)
	var found []*Session
	if err := q.Where("agency_id = ? AND id IN ?", agency, ids).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	byID := make(map[string]*Session, len(found))
	for _, s := range found {
		byID[s.ID] = s
	}
	return byID, nil
}

const maxSessionsACase = 50

// SessionsOf reads the sessions of cases, newest first, at most 50 a case.
func (c *Cases) SessionsOf(ctx context.Context, agency string, caseIDs []string) (map[string][]*Session, error) {
	q := c.db.Read(ctx)
	var found []*Session
	err := q.Where("agency_id = ? AND case_id IN ?", agency, caseIDs).Order("requested_at DESC, id DESC").Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read sessions of cases: %w", err)
	}
	byCase := map[string][]*Session{}
	for _, s := range found {
		if len(byCase[s.CaseID]) < maxSessionsACase {
			byCase[s.CaseID] = append(byCase[s.CaseID], s)
		}
	}
	return byCase, nil
}

// SessionFilter narrows a list of sessions. Empty fields do not narrow.
type SessionFilter struct {
	CaseID         *string
	Open           *bool
	State          *State
	Kind           *Kind
	DispatcherID   *string
	EndReason      *EndReason
	Report         *ReportState
	RequestedSince *time.Time
	RequestedUntil *time.Time
}

// SessionSort orders a list of sessions.
type SessionSort string

// The orders.
const (
	RequestedNewest SessionSort = "REQUESTED_NEWEST"
	RequestedOldest SessionSort = "REQUESTED_OLDEST"
)

var overStates = []State{Ended, Revoked, Expired, Failed}

// ListSessions reads sessions of an agency, at most limit, after a place in the
// order.
func (c *Cases) ListSessions(ctx context.Context, agency string, f SessionFilter, sort SessionSort, after *Place, limit int) ([]*Session, error) {
	q := c.db.Read(ctx)
	s := q.Where("agency_id = ?", agency)
	if f.Open != nil && *f.Open {
		s = s.Where("state NOT IN ?", overStates)
	} else if f.Open != nil {
		s = s.Where("state IN ?", overStates)
	}
	s = where(s, "case_id = ?", f.CaseID)
	s = where(s, "state = ?", f.State)
	s = where(s, "kind = ?", f.Kind)
	s = where(s, "dispatcher_id = ?", f.DispatcherID)
	s = where(s, "end_reason = ?", f.EndReason)
	s = where(s, "report = ?", f.Report)
	s = where(s, "requested_at >= ?", utc(f.RequestedSince))
	s = where(s, "requested_at < ?", utc(f.RequestedUntil))
	var found []*Session
	if err := page(s, "requested_at", sort != RequestedOldest, after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return found, nil
}

func where[T any](q *gorm.DB, condition string, value *T) *gorm.DB {
	if value == nil {
		return q
	}
	return q.Where(condition, *value)
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := database.Instant(*t)
	return &u
}
