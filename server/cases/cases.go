// Package cases is the heart: cases and the video reports in them, links,
// phones, consents, positions, the state machine and who may move it. It leaves
// to notify how a message reaches a phone, to evidence what happens to received
// bytes, and to live how video flows; they call in with their transaction.
package cases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Class is what a case is about: the national police's classes.
type Class string

// The classes.
const (
	Welfare     Class = "WELFARE"
	Information Class = "INFORMATION"
	Traffic     Class = "TRAFFIC"
	OtherClass  Class = "OTHER"
)

// Case is one incident (事案情報, 第2の6).
type Case struct {
	ID           string
	AgencyID     string
	Number       string
	Class        Class
	Municipality string
	Place        string
	Notes        string
	Drill        bool
	OpenedBy     string `gorm:"serializer:optional"` // empty: an officer's phone opened it
	OpenedAt     time.Time
	DispatchedAt *time.Time
	ChangedAt    time.Time
	OpenSessions int
	ClosedAt     *time.Time
	ErasedAt     *time.Time
}

// Bounds of what is typed, in characters.
const (
	maxMunicipality = 200
	maxPlace        = 1000
	maxNotes        = 10_000
	maxNeed         = 500
	maxReason       = 500
	maxSearch       = 100
	maxEmail        = 254 // bytes, RFC 5321
)

// Cases is the room. It is safe for concurrent use.
type Cases struct {
	db       *database.DB
	journal  *journal.Journal
	identity *identity.Identity
	bearers  *identity.Bearers
	keys     *blob.Keys
	guesses  *identity.Failures
	notes    *identity.Failures
	streams  *identity.Failures
	resumes  *identity.Failures
	over     []func(sessionID string)
	erase    []func(tx *database.Tx, sessionIDs []string) error
	held     []func(phoneID string)
	cut      []func(phoneID string)
	beside   func(what string, f func(ctx context.Context) error)

	staffStarted []func(tx *database.Tx, s *Session) error
	staffRevoked []func(tx *database.Tx, actor policy.Actor, l *StaffLink) error
	shareOver    []func(shareID string)

	drillGuards []func(tx *database.Tx, k *Case, number, email string) error
	real        []func(tx *database.Tx, actor policy.Actor) error
}

// New opens the room.
func New(db *database.DB, j *journal.Journal, i *identity.Identity, b *identity.Bearers, keys *blob.Keys) *Cases {
	return &Cases{
		db: db, journal: j, identity: i, bearers: b, keys: keys,
		guesses: identity.NewFailures(db.Clock, maxGuesses, time.Minute),
		streams: identity.NewFailures(db.Clock, maxStreams, streamWindow),
		notes:   identity.NewFailures(db.Clock, maxTroubles, noteWindow),
		resumes: identity.NewFailures(db.Clock, maxResumes, noteWindow),
	}
}

// OnOver adds what must happen, after the commit, when a session accepts
// nothing more: its streams are cut and its partial uploads sealed.
func (c *Cases) OnOver(f func(sessionID string)) { c.over = append(c.over, f) }

// OnHeld adds what must happen, after the commit, when a phone has to wait since
// another one was bound: a stream that it holds open, though nothing came over
// it, must not stand in the other's way.
func (c *Cases) OnHeld(f func(phoneID string)) { c.held = append(c.held, f) }

// OnCut adds what must happen, after the commit, when one phone is put out.
func (c *Cases) OnCut(f func(phoneID string)) { c.cut = append(c.cut, f) }

// Beside names who does what no answer may wait for, since the wait would tell a
// stranger what the answer does not. Unless it is called, that is done at once.
func (c *Cases) Beside(f func(what string, work func(ctx context.Context) error)) { c.beside = f }

// OnErase adds what else must be erased, in the same transaction, when a case's
// facts go: what other rooms keep about its sessions. Sessions with an open
// contact task are not among them.
func (c *Cases) OnErase(f func(tx *database.Tx, sessionIDs []string) error) {
	c.erase = append(c.erase, f)
}

// NewCase describes a case to open.
type NewCase struct {
	Class        Class
	Municipality string
	Place        string
	Notes        string
	Drill        bool
}

// Open opens a case. Everything may be filled in later: sending help never
// waits for it. BAD_INPUT.
func (c *Cases) Open(ctx context.Context, actor policy.Actor, in NewCase) (k *Case, err error) {
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		if k, err = c.OpenIn(tx, actor, in); err != nil {
			return err
		}
		return c.turned(tx, actor, k)
	})
	if err != nil {
		return nil, fmt.Errorf("open case: %w", err)
	}
	return k, nil
}

// OpenIn opens a case in the caller's transaction. BAD_INPUT.
func (c *Cases) OpenIn(tx *database.Tx, actor policy.Actor, in NewCase) (*Case, error) {
	if in.Class == "" {
		in.Class = OtherClass
	}
	if err := checkFacts(in.Municipality, in.Place, in.Notes); err != nil {
		return nil, err
	}
	k := &Case{
		ID: identity.NewID(), AgencyID: actor.Agency, Class: in.Class, Municipality: in.Municipality,
		Place: in.Place, Notes: in.Notes, Drill: in.Drill, OpenedBy: actor.ID, OpenedAt: tx.Now, ChangedAt: tx.Now,
	}
	number, err := nextNumber(tx, actor.Agency)
	if err != nil {
		return nil, err
	}
	k.Number = number
	if err := tx.Create(k).Error; err != nil {
		return nil, err
	}
	c.journal.Append(tx, k.entry(actor, journal.CaseOpened, map[string]any{
		"number": k.Number, "class": k.Class, "municipality": k.Municipality, "place": k.Place, "drill": k.Drill,
	}))
	return k, nil
}

// tokyo is where the agencies' years begin.
var tokyo = time.FixedZone("JST", 9*60*60)

func nextNumber(tx *database.Tx, agency string) (string, error) {
	year := tx.Now.In(tokyo).Year()
	var last int64
	err := tx.Raw(`INSERT INTO case_numbers (agency_id, year, last) VALUES (?, ?, 1)
		ON CONFLICT (agency_id, year) DO UPDATE SET last = case_numbers.last + 1 RETURNING last`, agency, year).Scan(&last).Error
	if err != nil {
		return "", fmt.Errorf("number case: %w", err)
	}
	return fmt.Sprintf("%d-%06d", year, last), nil
}

func checkFacts(municipality, place, notes string) error {
	if utf8.RuneCountInString(municipality) > maxMunicipality || utf8.RuneCountInString(place) > maxPlace || utf8.RuneCountInString(notes) > maxNotes ||
		!utf8.ValidString(municipality+place+notes) || strings.ContainsRune(municipality+place+notes, 0) {
		return problem.New(problem.BadInput)
	}
	return nil
}

// CaseChange holds what shall change; nil stays. It is the journal's payload, too.
type CaseChange struct {
	Class        *Class  `json:"class,omitempty"`
	Municipality *string `json:"municipality,omitempty"`
	Place        *string `json:"place,omitempty"`
	Notes        *string `json:"notes,omitempty"`
}

// Update fills in or corrects a case. NOT_FOUND, BAD_INPUT, CASE_CLOSED once it
// was erased.
func (c *Cases) Update(ctx context.Context, actor policy.Actor, id string, in CaseChange) (*Case, error) {
	return c.changeCase(ctx, actor, id, func(tx *database.Tx, k *Case) (journal.Type, any, error) {
		if k.ErasedAt != nil {
			return "", nil, problem.New(problem.CaseClosed)
		}
		set(&k.Class, in.Class)
		set(&k.Municipality, in.Municipality)
		set(&k.Place, in.Place)
		set(&k.Notes, in.Notes)
		if err := checkFacts(k.Municipality, k.Place, k.Notes); err != nil {
			return "", nil, err
		}
		return journal.CaseUpdated, in, nil
	})
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Dispatched marks that help was sent. Marking twice keeps the first time.
func (c *Cases) Dispatched(ctx context.Context, actor policy.Actor, id string) (*Case, error) {
	return c.changeCase(ctx, actor, id, func(tx *database.Tx, k *Case) (journal.Type, any, error) {
		if k.DispatchedAt != nil {
			return "", nil, nil
		}
		k.DispatchedAt = &tx.Now
		return journal.CaseDispatched, nil, nil
	})
}

// changeCase locks a case of the actor's agency, changes it and journals it;
// an empty type means nothing changed.
func (c *Cases) changeCase(ctx context.Context, actor policy.Actor, id string, change func(*database.Tx, *Case) (journal.Type, any, error)) (*Case, error) {
	var k Case
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&k, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		typ, payload, err := change(tx, &k)
		if err != nil || typ == "" {
			return err
		}
		k.ChangedAt = tx.Now
		if err := tx.Save(&k).Error; err != nil {
			return err
		}
		c.journal.Append(tx, k.entry(actor, typ, payload))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("change case: %w", err)
	}
	return &k, nil
}

func (k *Case) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: k.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Case, ID: k.ID}, CaseID: k.ID, Payload: payload}
}

// CaseFilter narrows a list of cases. Empty fields do not narrow.
type CaseFilter struct {
	Open        *bool
	Class       *Class
	Text        *string
	OpenedSince *time.Time
	OpenedUntil *time.Time
	Drill       *bool
}

// CaseSort orders a list of cases.
type CaseSort string

// The orders.
const (
	ChangedNewest CaseSort = "CHANGED_NEWEST"
	OpenedNewest  CaseSort = "OPENED_NEWEST"
	OpenedOldest  CaseSort = "OPENED_OLDEST"
)

// Place is where a page of a list goes on: the sort time and id of its last row.
type Place struct {
	At time.Time
	ID string
}

// List reads cases of an agency, at most limit, after a place in the order.
func (c *Cases) List(ctx context.Context, agency string, f CaseFilter, sort CaseSort, after *Place, limit int) ([]*Case, error) {
	q := c.db.Read(ctx)
	s := q.Where("agency_id = ?", agency)
	if f.Open != nil && *f.Open {
		s = s.Where("closed_at IS NULL AND erased_at IS NULL")
	} else if f.Open != nil {
		s = s.Where("closed_at IS NOT NULL OR erased_at IS NOT NULL")
	}
	if f.Class != nil {
		s = s.Where("class = ?", *f.Class)
	}
	if f.Drill != nil {
		s = s.Where("drill = ?", *f.Drill)
	}
	if f.OpenedSince != nil {
		s = s.Where("opened_at >= ?", database.Instant(*f.OpenedSince))
	}
	if f.OpenedUntil != nil {
		s = s.Where("opened_at < ?", database.Instant(*f.OpenedUntil))
	}
	if f.Text != nil && *f.Text != "" {
		if utf8.RuneCountInString(*f.Text) > maxSearch || strings.ContainsRune(*f.Text, 0) || !utf8.ValidString(*f.Text) {
			return nil, problem.New(problem.BadInput)
		}
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(*f.Text)) + "%"
		s = s.Where(`lower(number) LIKE ? ESCAPE '\' OR lower(place) LIKE ? ESCAPE '\' OR lower(municipality) LIKE ? ESCAPE '\'`, like, like, like)
	}
	column, descending := "changed_at", true
	switch sort {
	case OpenedNewest:
		column = "opened_at"
	case OpenedOldest:
		column, descending = "opened_at", false
	}
	var found []*Case
	if err := page(s, column, descending, after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	return found, nil
}

// page orders by a time column and id, and goes on after a place.
func page(q *gorm.DB, column string, descending bool, after *Place, limit int) *gorm.DB {
	if after != nil {
		compare := " > "
		if descending {
			compare = " < "
		}
		q = q.Where("("+column+", id)"+compare+"(?, ?)", database.Instant(after.At), after.ID)
	}
	return q.Order(clause.OrderByColumn{Column: clause.Column{Name: column}, Desc: descending}).
		Order(clause.OrderByColumn{Column: clause.Column{Name: "id"}, Desc: descending}).Limit(limit)
}

// Cases reads cases of an agency by id; what is not there is left out.
func (c *Cases) Cases(ctx context.Context, agency string, ids []string) (map[string]*Case, error) {
	q := c.db.Read(ctx)
	var found []*Case
	if err := q.Where("agency_id = ? AND id IN ?", agency, ids).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read cases: %w", err)
	}
	byID := make(map[string]*Case, len(found))
	for _, k := range found {
		byID[k.ID] = k
	}
	return byID, nil
}

// Forgotten lists, oldest first, closed or idle cases whose facts are not
// erased yet and whose end lies before the instant: the ones to ask about.
func (c *Cases) Forgotten(ctx context.Context, before time.Time, limit int) ([]*Case, error) {
	q := c.db.Read(ctx)
	var found []*Case
	err := q.Where("erased_at IS NULL AND open_sessions = 0 AND COALESCE(closed_at, changed_at) < ?", database.Instant(before)).
		Order("changed_at").Limit(limit).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list cases to erase: %w", err)
	}
	return found, nil
}

// Ended is the instant that a case's own retention counts from where it has no
// file: the end of its last session, or its last change where it had none.
func (k *Case) Ended() time.Time {
	if k.ClosedAt != nil {
		return *k.ClosedAt
	}
	return k.ChangedAt
}

// Erase destroys what a case says about people: numbers, addresses, notes,
// texts, exact positions, and the journal's payloads. Class, times, reasons,
// municipality and counts stay for statistics (第6の3, 第9). A session with an
// open contact task keeps the number it has to call. CONFLICT while a session
// is open.
func (c *Cases) Erase(tx *database.Tx, caseID string) error {
	var k Case
	if err := tx.Lock().Take(&k, "id = ?", caseID).Error; err != nil {
		return notFound(err)
	}
	if k.ErasedAt != nil {
		return nil
	}
	if k.OpenSessions > 0 {
		return problem.New(problem.Conflict)
	}
	if err := tx.Model(&k).Updates(map[string]any{"place": "", "notes": "", "erased_at": tx.Now, "closed_at": k.Ended()}).Error; err != nil {
		return fmt.Errorf("erase case: %w", err)
	}
	sessions := tx.Model(&Session{}).Select("id").Where("case_id = ?", k.ID)
	toCall := tx.Model(&ContactTask{}).Select("session_id").Where("done_at IS NULL")
	var released []string
	if err := tx.Model(&Session{}).Where("case_id = ? AND id NOT IN (?)", k.ID, toCall).Pluck("id", &released).Error; err != nil {
		return fmt.Errorf("erase case: %w", err)
	}
	steps := []func() error{
		func() error {
			return tx.Model(&Session{}).Where("case_id = ?", k.ID).Updates(map[string]any{"need": "", "late_reason": "", "report_reason": "", "erased_at": tx.Now}).Error
		},
		func() error {
			return tx.Model(&Session{}).Where("id IN ?", released).Updates(map[string]any{"number": "", "email": "", "email_reason": ""}).Error
		},
		func() error {
			return tx.Model(&ContactTask{}).Where("session_id IN ?", released).Updates(map[string]any{"number": "", "email": "", "outcome": ""}).Error
		},
		func() error { return tx.Where("session_id IN (?)", sessions).Delete(&Position{}).Error },
		func() error { return tx.Where("session_id IN (?)", sessions).Delete(&Consent{}).Error },
		func() error {
			return tx.Model(&Phone{}).Where("session_id IN (?)", sessions).Updates(map[string]any{"system": "", "browser": ""}).Error
		},
		func() error { return c.eraseWords(tx, k.ID) },
		func() error { return c.journal.EmptyPayloads(tx, k.AgencyID, journal.Filter{CaseID: k.ID}) },
	}
	for _, f := range c.erase {
		steps = append(steps, func() error { return f(tx, released) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("erase case: %w", err)
		}
	}
	c.journal.Append(tx, k.entry(policy.SystemActor(), journal.CaseErased, nil))
	return nil
}

func notFound(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.Wrap(problem.NotFound, err)
	}
	return err
}
