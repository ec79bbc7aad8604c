package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// TerminalState says whether a terminal is served.
type TerminalState string

// The states of a terminal. REVOKED is for good.
const (
	Enrolled          TerminalState = "ENROLLED"
	TerminalSuspended TerminalState = "SUSPENDED"
	TerminalRevoked   TerminalState = "REVOKED"
)

// Fault is what a supervisor reports of a terminal.
type Fault string

// The faults. A lost terminal is suspended with the report.
const (
	Lost   Fault = "LOST"
	Faulty Fault = "FAULTY"
)

// Terminal is an enrolled device (第2の5, 第4の6): the console answers on no other.
type Terminal struct {
	ID       string
	AgencyID string
	Kind     policy.Desk
	// Number is what stands on its label.
	Number string
	Place  string
	State  TerminalState
	// Reason is why it was suspended or revoked.
	Reason     string
	Fault      Fault
	FaultNote  string
	FaultAt    *time.Time
	PublicKey  []byte
	Thumbprint []byte
	// Version is the program that it runs, as it says itself.
	Version string
	// Shared is the demonstration's: people of every agency and role sign in there,
	// several at once.
	Shared     bool
	EnrolledAt time.Time
	ChangedAt  time.Time
	SeenAt     time.Time

	// Online says whether it was seen just now; UserID is who signed in there last
	// and has not signed out. Both are read with a list.
	Online bool   `gorm:"-"`
	UserID string `gorm:"-"`
}

// Bounds of terminals.
const (
	codeLife       = 15 * time.Minute
	codeLength     = 10 // of 32 letters: 50 bits
	maxNumber      = 40 // characters
	maxPlace       = 100
	maxWhy         = 500
	seenAgain      = 10 * time.Second // how often "last seen" is written
	onlineWithin   = 40 * time.Second
	maxTerminals   = 500 // shown of one agency
	codeAlphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	maxCodeEntered = 40
)

// Heartbeat is how often a console says that it is there.
const Heartbeat = 15 * time.Second

// NewTerminal describes a terminal to enrol.
type NewTerminal struct {
	Kind   policy.Desk
	Number string
	Place  string
}

func (n *NewTerminal) tidy() error {
	n.Number, n.Place = strings.TrimSpace(n.Number), strings.TrimSpace(n.Place)
	if !slices.Contains(policy.Desks, n.Kind) || n.Number == "" || !cleanText(n.Number, maxNumber) || !cleanText(n.Place, maxPlace) {
		return problem.New(problem.BadInput)
	}
	return nil
}

type terminalCode struct {
	ID        string
	AgencyID  string
	Kind      policy.Desk
	Number    string
	Place     string
	CodeHash  []byte
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    *time.Time
}

// OnCut is told which sign-ins may watch no more, after the commit that says so.
func (i *Identity) OnCut(f func(logins []string)) { i.cut = f }

func (i *Identity) cutAfter(tx *database.Tx, logins []string) {
	if len(logins) > 0 && i.cut != nil {
		tx.AfterCommit(func() { i.cut(logins) })
	}
}

// IssueTerminalCode gives the code by which a new browser becomes a terminal of
// the agency, once. ALREADY_EXISTS where the number is another one's.
func (i *Identity) IssueTerminalCode(ctx context.Context, actor policy.Actor, agency string, in NewTerminal) (code string, until time.Time, err error) {
	if err := in.tidy(); err != nil {
		return "", until, err
	}
	code = newCode()
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		var taken int64
		if err := tx.Model(&Terminal{}).Where("agency_id = ? AND number = ? AND state <> ?", agency, in.Number, TerminalRevoked).Count(&taken).Error; err != nil {
			return err
		}
		if taken > 0 {
			return problem.New(problem.AlreadyExists)
		}
		c := terminalCode{
			ID: NewID(), AgencyID: agency, Kind: in.Kind, Number: in.Number, Place: in.Place,
			CodeHash: HashToken(code), CreatedAt: tx.Now, ExpiresAt: database.Instant(tx.Now.Add(codeLife)),
		}
		until = c.ExpiresAt
		i.journal.Append(tx, journal.Entry{
			Agency: agency, Actor: actor, Type: journal.TerminalCodeIssued, Subject: journal.Subject{Kind: policy.Terminal, ID: c.ID},
			Payload: map[string]any{"kind": in.Kind, "number": in.Number, "place": in.Place, "expiresAt": until},
		})
		return tx.Create(&c).Error
	})
	if err != nil {
		return "", until, fmt.Errorf("issue terminal code: %w", err)
	}
	return code[:codeLength/2] + "-" + code[codeLength/2:], until, nil
}

func newCode() string {
	b := make([]byte, codeLength)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = codeAlphabet[int(b[i])%len(codeAlphabet)]
	}
	return string(b)
}

// plainCode is a code as people type it: any case, with hyphens or spaces, O for
// 0, I or L for 1.
func plainCode(code string) string {
	code = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	return code
}

// Enrol makes the browser that proved its new key a terminal, by a manager's
// code. TERMINAL_CODE_WRONG for one that is unknown, used or too old;
// RATE_LIMITED after twenty of those a minute from an address; TERMINAL_UNKNOWN
// without a proof.
func (i *Identity) Enrol(ctx context.Context, code string) (*Terminal, error) {
	s, _ := ctx.Value(seatKey{}).(seat)
	if s.terminal != nil {
		return nil, problem.New(problem.AlreadyExists)
	}
	if s.key == nil {
		return nil, problem.New(problem.TerminalUnknown)
	}
	address := Address(ctx)
	if !i.byCode.Allow(address) {
		return nil, problem.New(problem.RateLimited)
	}
	var t *Terminal
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		var c terminalCode
		found := tx.Lock().Limit(1).Find(&c, "code_hash = ? AND used_at IS NULL AND expires_at > ?", HashToken(plainCode(code)), tx.Now)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 || len(code) > maxCodeEntered {
			return problem.New(problem.TerminalCodeWrong)
		}
		if err := tx.Model(&c).Update("used_at", tx.Now).Error; err != nil {
			return err
		}
		var err error
		t, err = i.addTerminal(tx, policy.Actor{Kind: policy.Nobody}, c.AgencyID, NewTerminal{c.Kind, c.Number, c.Place}, *s.key, false)
		return err
	})
	if problem.Is(err, problem.TerminalCodeWrong) {
		i.byCode.Add(address)
	}
	return t, duplicate("enrol terminal", err)
}

// AddTerminal enrols a key that the operator holds in a file. shared is the
// demonstration's alone. ALREADY_EXISTS.
func (i *Identity) AddTerminal(ctx context.Context, actor policy.Actor, agency string, in NewTerminal, key PublicKey, shared bool) (*Terminal, error) {
	if err := in.tidy(); err != nil {
		return nil, err
	}
	var t *Terminal
	err := i.db.InTx(ctx, func(tx *database.Tx) (err error) {
		t, err = i.addTerminal(tx, actor, agency, in, key, shared)
		return err
	})
	return t, duplicate("add terminal", err)
}

func duplicate(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return problem.Wrap(problem.AlreadyExists, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (i *Identity) addTerminal(tx *database.Tx, actor policy.Actor, agency string, in NewTerminal, key PublicKey, shared bool) (*Terminal, error) {
	t := &Terminal{
		ID: NewID(), AgencyID: agency, Kind: in.Kind, Number: in.Number, Place: in.Place, State: Enrolled,
		PublicKey: key.point, Thumbprint: key.thumbprint[:], Shared: shared, EnrolledAt: tx.Now, ChangedAt: tx.Now, SeenAt: tx.Now,
	}
	i.journal.Append(tx, t.entry(actor, journal.TerminalEnrolled, map[string]any{"kind": t.Kind, "number": t.Number, "place": t.Place}))
	return t, tx.Create(t).Error
}

func (t *Terminal) entry(actor policy.Actor, what journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: t.AgencyID, Actor: actor, Type: what, Subject: journal.Subject{Kind: policy.Terminal, ID: t.ID}, Payload: payload}
}

// change does something to one terminal of the actor's agency. ended says that
// who is signed in there is cut.
func (i *Identity) change(ctx context.Context, actor policy.Actor, id string, do func(tx *database.Tx, t *Terminal) (entries []journal.Entry, ended bool, err error)) (*Terminal, error) {
	var t Terminal
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		t = Terminal{}
		if err := tx.Lock().Take(&t, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		entries, ended, err := do(tx, &t)
		if err != nil || len(entries) == 0 {
			return err
		}
		t.ChangedAt = tx.Now
		if err := tx.Select("number", "place", "state", "reason", "fault", "fault_note", "fault_at", "changed_at").Updates(&t).Error; err != nil {
			return err
		}
		for _, e := range entries {
			i.journal.Append(tx, e)
		}
		if !ended {
			return nil
		}
		var logins []string
		if err := tx.Model(&Login{}).Where("terminal_id = ? AND ended_at IS NULL", t.ID).Pluck("id", &logins).Error; err != nil {
			return err
		}
		i.cutAfter(tx, logins)
		return tx.Model(&Login{}).Where("id IN ?", logins).Update("ended_at", tx.Now).Error
	})
	if err != nil {
		return nil, duplicate("change terminal", err)
	}
	return &t, i.complete(ctx, []*Terminal{&t})
}

// live refuses what was revoked for good.
func (t *Terminal) live() error {
	if t.State == TerminalRevoked {
		return problem.New(problem.Conflict)
	}
	return nil
}

// PlaceTerminal notes where a terminal stands, and under which number (第4の6).
func (i *Identity) PlaceTerminal(ctx context.Context, actor policy.Actor, id, number, place string) (*Terminal, error) {
	return i.change(ctx, actor, id, func(_ *database.Tx, t *Terminal) ([]journal.Entry, bool, error) {
		in := NewTerminal{t.Kind, number, place}
		if number == "" {
			in.Number = t.Number
		}
		if err := errors.Join(t.live(), in.tidy()); err != nil {
			return nil, false, err
		}
		if in.Number == t.Number && in.Place == t.Place {
			return nil, false, nil
		}
		said := map[string]any{"old": map[string]any{"number": t.Number, "place": t.Place}, "new": map[string]any{"number": in.Number, "place": in.Place}}
		t.Number, t.Place = in.Number, in.Place
		return []journal.Entry{t.entry(actor, journal.TerminalPlaced, said)}, false, nil
	})
}

func why(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return "", problem.New(problem.ReasonMissing)
	}
	if !cleanText(reason, maxWhy) {
		return "", problem.New(problem.BadInput)
	}
	return reason, nil
}

// SuspendTerminal stops a terminal at once: who is signed in there is out, and
// what they watch and download is cut. REASON_MISSING.
func (i *Identity) SuspendTerminal(ctx context.Context, actor policy.Actor, id, reason string) (*Terminal, error) {
	return i.change(ctx, actor, id, func(_ *database.Tx, t *Terminal) ([]journal.Entry, bool, error) {
		reason, err := why(reason)
		if err := errors.Join(err, t.live()); err != nil {
			return nil, false, err
		}
		return t.suspend(actor, reason), true, nil
	})
}

func (t *Terminal) suspend(actor policy.Actor, reason string) []journal.Entry {
	if t.State == TerminalSuspended {
		return nil
	}
	t.State, t.Reason = TerminalSuspended, reason
	return []journal.Entry{t.entry(actor, journal.TerminalSuspended, map[string]any{"number": t.Number, "reason": reason})}
}

// ReportTerminal reports a terminal as lost or faulty, for the manager to see at
// once. A lost one is suspended with it. REASON_MISSING without a note.
func (i *Identity) ReportTerminal(ctx context.Context, actor policy.Actor, id string, fault Fault, note string) (*Terminal, error) {
	return i.change(ctx, actor, id, func(tx *database.Tx, t *Terminal) ([]journal.Entry, bool, error) {
		note, err := why(note)
		if err := errors.Join(err, t.live()); err != nil {
			return nil, false, err
		}
		if fault != Lost && fault != Faulty {
			return nil, false, problem.New(problem.BadInput)
		}
		t.Fault, t.FaultNote, t.FaultAt = fault, note, &tx.Now
		entries := []journal.Entry{t.entry(actor, journal.TerminalReported, map[string]any{"number": t.Number, "fault": fault, "note": note})}
		if fault == Lost {
			entries = append(entries, t.suspend(actor, note)...)
		}
		return entries, fault == Lost, nil
	})
}

// ReinstateTerminal lets a suspended terminal be used again, and closes what was
// reported of it.
func (i *Identity) ReinstateTerminal(ctx context.Context, actor policy.Actor, id string) (*Terminal, error) {
	return i.change(ctx, actor, id, func(_ *database.Tx, t *Terminal) ([]journal.Entry, bool, error) {
		if err := t.live(); err != nil {
			return nil, false, err
		}
		if t.State == Enrolled && t.Fault == "" {
			return nil, false, nil
		}
		t.State, t.Reason, t.Fault, t.FaultNote, t.FaultAt = Enrolled, "", "", "", nil
		return []journal.Entry{t.entry(actor, journal.TerminalReinstated, map[string]any{"number": t.Number})}, false, nil
	})
}

// RevokeTerminal ends a terminal for good: its key opens nothing any more.
// REASON_MISSING.
func (i *Identity) RevokeTerminal(ctx context.Context, actor policy.Actor, id, reason string) (*Terminal, error) {
	return i.change(ctx, actor, id, func(_ *database.Tx, t *Terminal) ([]journal.Entry, bool, error) {
		reason, err := why(reason)
		if err != nil || t.State == TerminalRevoked {
			return nil, false, err
		}
		t.State, t.Reason = TerminalRevoked, reason
		return []journal.Entry{t.entry(actor, journal.TerminalRevoked, map[string]any{"number": t.Number, "reason": reason})}, true, nil
	})
}

// Terminals reads an agency's terminals, those in use first, by number.
func (i *Identity) Terminals(ctx context.Context, agency string) ([]*Terminal, error) {
	var all []*Terminal
	err := i.db.Read(ctx).Where("agency_id = ?", agency).Order("CASE WHEN state = 'REVOKED' THEN 1 ELSE 0 END, number, id").Limit(maxTerminals).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list terminals: %w", err)
	}
	return all, i.complete(ctx, all)
}

// Terminal reads one terminal of an agency. NOT_FOUND.
func (i *Identity) Terminal(ctx context.Context, agency, id string) (*Terminal, error) {
	var t Terminal
	if err := i.db.Read(ctx).Take(&t, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &t, i.complete(ctx, []*Terminal{&t})
}

// Sat is the terminal of a sign-in, with what does not change from moment to
// moment.
func (i *Identity) Sat(ctx context.Context, actor policy.Actor) (*Terminal, error) {
	t, err := i.terminalOf(ctx, nil, actor.Terminal)
	if t == nil || err != nil {
		return nil, err
	}
	return &Terminal{ID: t.ID, AgencyID: t.AgencyID, Kind: t.Kind, Number: t.Number, Place: t.Place, State: t.State, Shared: t.Shared, EnrolledAt: t.EnrolledAt}, nil
}

// complete says of terminals whether they are there now, and who is.
func (i *Identity) complete(ctx context.Context, all []*Terminal) error {
	ids := make([]string, len(all))
	now := i.db.Now()
	for n, t := range all {
		ids[n] = t.ID
		t.Online = t.State == Enrolled && now.Sub(t.SeenAt) < onlineWithin && t.SeenAt.Sub(now) < onlineWithin
	}
	var newest []Login
	err := i.db.Read(ctx).Where("terminal_id IN ? AND ended_at IS NULL AND created_at > ?", ids, now.Add(-loginLife)).
		Where("id = (SELECT l.id FROM logins l WHERE l.terminal_id = logins.terminal_id AND l.ended_at IS NULL ORDER BY l.created_at DESC, l.id DESC LIMIT 1)").
		Find(&newest).Error
	if err != nil {
		return fmt.Errorf("read who is on terminals: %w", err)
	}
	for _, t := range all {
		for _, l := range newest {
			if l.TerminalID != nil && *l.TerminalID == t.ID {
				t.UserID = l.UserID
			}
		}
	}
	return nil
}

// terminalOf finds a terminal by its key, or by the id or thumbprint that a
// proof names; nil where there is none.
func (i *Identity) terminalOf(ctx context.Context, key *PublicKey, kid string) (*Terminal, error) {
	q := i.db.Read(ctx).Limit(1)
	switch id, err := ParseID(kid); {
	case key != nil:
		q = q.Where("thumbprint = ?", key.thumbprint[:])
	case err == nil:
		q = q.Where("id = ?", id)
	default:
		return nil, nil
	}
	var found []*Terminal
	if err := q.Find(&found).Error; err != nil {
		return nil, fmt.Errorf("find terminal: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// Sit is a request that comes from a terminal which proved itself otherwise: the
// demonstration's. TERMINAL_SUSPENDED, TERMINAL_REVOKED.
func (i *Identity) Sit(ctx context.Context, terminal string) (context.Context, error) {
	t, err := i.terminalOf(ctx, nil, terminal)
	if err != nil {
		return ctx, err
	}
	if t == nil {
		return ctx, problem.New(problem.TerminalUnknown)
	}
	if err := i.standing(ctx, t); err != nil {
		return ctx, err
	}
	return WithTerminal(ctx, t), i.touch(ctx, t, t.Version)
}

// standing refuses a terminal that is not served, and journals that it asked.
func (i *Identity) standing(ctx context.Context, t *Terminal) error {
	refused := t.State.refusal()
	if refused == nil {
		return nil
	}
	if err := i.journal.Refuse(ctx, t.entry(policy.Actor{Kind: policy.Nobody}, journal.TerminalRefused, map[string]any{"state": t.State})); err != nil {
		return err
	}
	return refused
}

func (s TerminalState) refusal() error {
	switch s {
	case Enrolled:
		return nil
	case TerminalSuspended:
		return problem.New(problem.TerminalSuspended)
	}
	return problem.New(problem.TerminalRevoked)
}

// touch notes that a terminal was seen.
func (i *Identity) touch(ctx context.Context, t *Terminal, version string) error {
	now := i.db.Now()
	if since := now.Sub(t.SeenAt); version == t.Version && since < seenAgain && since >= 0 {
		return nil
	}
	t.SeenAt, t.Version = now, version
	err := i.db.Read(ctx).Model(&Terminal{}).Where("id = ?", t.ID).Updates(map[string]any{"seen_at": now, "version": version}).Error
	if err != nil {
		return fmt.Errorf("mark terminal seen: %w", err)
	}
	return nil
}

// Beat notes that the terminal of a sign-in is there, as its open console says.
func (i *Identity) Beat(ctx context.Context, actor policy.Actor) error {
	err := i.db.Read(ctx).Model(&Terminal{}).Where("id = ?", actor.Terminal).Update("seen_at", i.db.Now()).Error
	if err != nil {
		return fmt.Errorf("mark terminal seen: %w", err)
	}
	return nil
}

// UserByName reads one user of an agency by the name they sign in with.
// NOT_FOUND.
func (i *Identity) UserByName(ctx context.Context, agency, name string) (*User, error) {
	var u User
	if err := i.db.Read(ctx).Take(&u, "agency_id = ? AND user_name = ?", agency, strings.ToLower(strings.TrimSpace(name))).Error; err != nil {
		return nil, notFound(err)
	}
	return &u, nil
}
