package operations

import (
	"context"
	"fmt"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// ContactKind is what somebody is to be told about.
type ContactKind string

// The kinds: the unit that faults are told to (第10), and those with whom the
// manager keeps contact (第3の1(2)).
const (
	ForFaults    ContactKind = "FAULTS"
	National     ContactKind = "NATIONAL"
	Headquarters ContactKind = "HEADQUARTERS"
	OtherContact ContactKind = "OTHER"
)

// Way is how somebody was reached.
type Way string

// The ways.
const (
	ByPhone  Way = "PHONE"
	ByEmail  Way = "EMAIL"
	ByRadio  Way = "RADIO"
	ByFax    Way = "FAX"
	InPerson Way = "IN_PERSON"
)

const (
	maxContacts     = 100
	maxContactField = 200
)

// Contact is one line of the directory.
type Contact struct {
	ID           string
	AgencyID     string
	Kind         ContactKind
	Organisation string
	Post         string
	Telephone    string
	Email        string
	AddedAt      time.Time
	RemovedAt    *time.Time
}

// ContactNote says who was reached when, how, and what was said. It is written
// once.
type ContactNote struct {
	ID        string
	AgencyID  string
	ContactID string
	OutageID  string `gorm:"serializer:optional"` // empty: about no fault
	UserID    string
	ToldAt    time.Time
	Way       Way
	Person    string
	Text      string
	WrittenAt time.Time
}

// NewContact describes a line of the directory.
type NewContact struct {
	Kind                                 ContactKind
	Organisation, Post, Telephone, Email string
}

func (in *NewContact) check() error {
	for _, field := range []*string{&in.Organisation, &in.Post, &in.Telephone, &in.Email} {
		*field = trimmed(*field)
		if err := short(*field, maxContactField); err != nil {
			return err
		}
	}
	if in.Organisation == "" {
		return problem.New(problem.BadInput)
	}
	return nil
}

// AddContact adds a line to the directory. BAD_INPUT.
func (o *Operations) AddContact(ctx context.Context, actor policy.Actor, in NewContact) (*Contact, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	c := &Contact{
		ID: identity.NewID(), AgencyID: actor.Agency, Kind: in.Kind, Organisation: in.Organisation, Post: in.Post, Telephone: in.Telephone, Email: in.Email,
	}
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		var n int64
		if err := tx.Model(&Contact{}).Where("agency_id = ? AND removed_at IS NULL", c.AgencyID).Count(&n).Error; err != nil {
			return err
		}
		if n >= maxContacts {
			return problem.New(problem.BadInput)
		}
		c.AddedAt = tx.Now
		if err := tx.Create(c).Error; err != nil {
			return err
		}
		o.journal.Append(tx, c.entry(actor, journal.ContactAdded, in))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add contact: %w", err)
	}
	return c, nil
}

func (c *Contact) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: c.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Contact, ID: c.ID}, Payload: payload}
}

// RemoveContact takes a line out of the directory; the notes stay. Repeating it
// changes nothing. NOT_FOUND.
func (o *Operations) RemoveContact(ctx context.Context, actor policy.Actor, id string) (*Contact, error) {
	var c Contact
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&c, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if c.RemovedAt != nil {
			return nil
		}
		c.RemovedAt = &tx.Now
		if err := tx.Save(&c).Error; err != nil {
			return err
		}
		o.journal.Append(tx, c.entry(actor, journal.ContactRemoved, nil))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("remove contact: %w", err)
	}
	return &c, nil
}

// Contacts reads an agency's directory: whom faults are told to first.
func (o *Operations) Contacts(ctx context.Context, agency string) ([]*Contact, error) {
	var found []*Contact
	err := o.db.Read(ctx).Where("agency_id = ? AND removed_at IS NULL", agency).
		Order("CASE kind WHEN 'FAULTS' THEN 0 WHEN 'NATIONAL' THEN 1 WHEN 'HEADQUARTERS' THEN 2 ELSE 3 END, id").Limit(maxContacts).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	return found, nil
}

// ContactsByID reads lines of the directory, removed ones too.
func (o *Operations) ContactsByID(ctx context.Context, agency string, ids []string) (map[string]*Contact, error) {
	var found []*Contact
	if err := o.db.Read(ctx).Find(&found, "agency_id = ? AND id IN ?", agency, ids).Error; err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	byID := make(map[string]*Contact, len(found))
	for _, c := range found {
		byID[c.ID] = c
	}
	return byID, nil
}

// NewContactNote describes that somebody was reached.
type NewContactNote struct {
	ContactID    string
	OutageID     string
	ToldAt       time.Time
	Way          Way
	Person, Text string
}

// NoteContact writes down when, whom and how somebody was told, and what
// (第3の1(2), 第10). REASON_MISSING, BAD_INPUT for a time to come, NOT_FOUND.
func (o *Operations) NoteContact(ctx context.Context, actor policy.Actor, in NewContactNote) (*ContactNote, error) {
	text, err := said(in.Text)
	if err != nil {
		return nil, err
	}
	person := trimmed(in.Person)
	if err := short(person, maxContactField); err != nil {
		return nil, err
	}
	n := &ContactNote{
		ID: identity.NewID(), AgencyID: actor.Agency, ContactID: in.ContactID, OutageID: in.OutageID, UserID: actor.ID,
		ToldAt: database.Instant(in.ToldAt), Way: in.Way, Person: person, Text: text,
	}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		if n.ToldAt.After(tx.Now.Add(time.Minute)) {
			return problem.New(problem.BadInput)
		}
		var c Contact
		if err := tx.Take(&c, "id = ? AND agency_id = ? AND removed_at IS NULL", n.ContactID, n.AgencyID).Error; err != nil {
			return notFound(err)
		}
		if n.OutageID != "" {
			var x Outage
			if err := tx.Lock().Take(&x, "id = ? AND agency_id = ?", n.OutageID, n.AgencyID).Error; err != nil {
				return notFound(err)
			}
			if n.ToldAt.Before(x.OpenedAt.Add(-maxMaintenance)) {
				return problem.New(problem.BadInput)
			}
		}
		n.WrittenAt = tx.Now
		if err := tx.Create(n).Error; err != nil {
			return err
		}
		o.journal.Append(tx, c.entry(actor, journal.ContactMade, map[string]any{
			"note": n.ID, "outage": n.OutageID, "toldAt": n.ToldAt, "way": n.Way, "person": n.Person, "text": n.Text,
		}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("note contact: %w", err)
	}
	return n, nil
}

// ContactNotes reads what was told to whom, newest first, after a place, at most
// limit.
func (o *Operations) ContactNotes(ctx context.Context, agency string, after *Place, limit int) ([]*ContactNote, error) {
	var found []*ContactNote
	if err := ordered(o.db.Read(ctx).Where("agency_id = ?", agency), "told_at", after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list contact notes: %w", err)
	}
	return found, nil
}

// NotesOf reads what was told about faults, oldest first.
func (o *Operations) NotesOf(ctx context.Context, agency string, outageIDs []string) (map[string][]*ContactNote, error) {
	var found []*ContactNote
	err := o.db.Read(ctx).Where("agency_id = ? AND outage_id IN ?", agency, outageIDs).Order("told_at, id").Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read contact notes: %w", err)
	}
	byOutage := map[string][]*ContactNote{}
	for _, n := range found {
		byOutage[n.OutageID] = append(byOutage[n.OutageID], n)
	}
	return byOutage, nil
}
