// Package journal owns the spine: the one append-only, hash-chained record of
// everything that happens in an agency. It feeds live updates, timelines and
// audit. Entries are collected in the caller's transaction and numbered, gap
// free, as its last statements; after the commit the bus rings. What an entry
// says about people stands in its payload, which retention can empty: the chain
// verifies with or without it. What an entry means is the writing room's matter.
package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
)

// Installation is the agency of entries that belong to no agency.
const Installation = "00000000-0000-0000-0000-000000000000"

// Subject is what an entry is about.
type Subject struct {
	Kind policy.Object
	ID   string
}

// Entry is what a room hands in. Payload becomes JSON; it alone may hold
// numbers, names, positions, file names or free text.
type Entry struct {
	Agency    string // empty: the installation
	Actor     policy.Actor
	Type      Type
	Subject   Subject
	CaseID    string
	SessionID string
	Payload   any
}

// Row is one entry as it stands in the chain. Payload is nil once retention
// has emptied it.
type Row struct {
	AgencyID    string `gorm:"primaryKey"`
	Number      int64  `gorm:"primaryKey;autoIncrement:false"`
	At          time.Time
	ActorKind   policy.Kind
	ActorID     string
	ActorRole   policy.Role
	Type        Type
	SubjectKind policy.Object
	SubjectID   string
	CaseID      string
	SessionID   string
	PayloadHash []byte
	PrevHash    []byte
	Hash        []byte
	Payload     []byte `gorm:"-"`
}

// TableName is the table of rows.
func (Row) TableName() string { return "journal_entries" }

type payloadRow struct {
	AgencyID string `gorm:"primaryKey"`
	Number   int64  `gorm:"primaryKey;autoIncrement:false"`
	Salt     []byte
	Payload  []byte
}

func (payloadRow) TableName() string { return "journal_payloads" }

type head struct {
	AgencyID  string `gorm:"primaryKey"`
	Number    int64
	Hash      []byte
	Positions int64
}

func (head) TableName() string { return "journal_heads" }

// ringer wakes whoever reads a topic.
type ringer interface{ Ring(topic string) }

// Journal appends and reads. It is safe for concurrent use.
type Journal struct {
	db       *database.DB
	bus      ringer
	refusals refusals
	heard    heard
	audit    audit
}

// New makes the journal of a database. Every commit that wrote entries rings
// Topic(agency) on the bus.
func New(db *database.DB, bus ringer) *Journal {
	return &Journal{db: db, bus: bus, refusals: refusals{seen: map[string]*refusal{}}}
}

// Topic is the bus topic that rings when the agency's journal or positions grew.
func Topic(agency string) string { return "agency." + agency }

type collector struct {
	entries   map[string][]Entry
	positions map[string][]func(number int64) error
}

// Append hands in an entry. It is numbered and written when tx commits; if tx
// does not commit, it never was.
func (j *Journal) Append(tx *database.Tx, e Entry) {
	if e.Agency == "" {
		e.Agency = Installation
	}
	c := j.collector(tx)
	c.entries[e.Agency] = append(c.entries[e.Agency], e)
}

// Position numbers a position fix in the agency's order of fixes: store is
// called with the number among the transaction's last statements.
func (j *Journal) Position(tx *database.Tx, agency string, store func(number int64) error) {
	c := j.collector(tx)
	c.positions[agency] = append(c.positions[agency], store)
}

type collectorKey struct{ *Journal }

func (j *Journal) collector(tx *database.Tx) *collector {
	return tx.Value(collectorKey{j}, func() any {
		c := &collector{entries: map[string][]Entry{}, positions: map[string][]func(int64) error{}}
		tx.BeforeCommit(func() error { return j.write(tx, c) })
		return c
	}).(*collector)
}

// write numbers what was collected. Agencies are locked in one order, so that
// two transactions never wait for each other.
func (j *Journal) write(tx *database.Tx, c *collector) error {
	agencies := make([]string, 0, len(c.entries)+len(c.positions))
	for a := range c.entries {
		agencies = append(agencies, a)
	}
	for a := range c.positions {
		agencies = append(agencies, a)
	}
	slices.Sort(agencies)
	for _, agency := range slices.Compact(agencies) {
		h, err := lockHead(tx, agency)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if err := j.writeAgency(tx, h, c.entries[agency], c.positions[agency]); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		number, positions := h.Number, h.Positions
		tx.AfterCommit(func() {
			j.heard.note(agency, number, positions)
			j.bus.Ring(Topic(agency))
		})
	}
	return nil
}

func lockHead(tx *database.Tx, agency string) (*head, error) {
	h := head{AgencyID: agency, Hash: make([]byte, sha256.Size)}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&h).Error; err != nil {
		return nil, err
	}
	if err := tx.Lock().Take(&h, "agency_id = ?", agency).Error; err != nil {
		return nil, err
	}
	return &h, nil
}

func (j *Journal) writeAgency(tx *database.Tx, h *head, entries []Entry, positions []func(int64) error) error {
	rows := make([]Row, 0, len(entries))
	payloads := make([]payloadRow, 0, len(entries))
	var mentions []mention
	for _, e := range entries {
		h.Number++
		p := payloadRow{AgencyID: h.AgencyID, Number: h.Number, Salt: make([]byte, 16), Payload: []byte("{}")}
		_, _ = rand.Read(p.Salt) // never fails
		if e.Payload != nil {
			var err error
			if p.Payload, err = json.Marshal(e.Payload); err != nil {
				return fmt.Errorf("payload of %s: %w", e.Type, err)
			}
		}
		r := Row{
			AgencyID: h.AgencyID, Number: h.Number, At: tx.Now,
			ActorKind: e.Actor.Kind, ActorID: e.Actor.ID, ActorRole: e.Actor.Role, Type: e.Type,
			SubjectKind: e.Subject.Kind, SubjectID: e.Subject.ID, CaseID: e.CaseID, SessionID: e.SessionID,
			PayloadHash: p.hash(), PrevHash: h.Hash,
		}
		r.Hash = r.digest()
		h.Hash = r.Hash
		rows, payloads = append(rows, r), append(payloads, p)
		mentions = append(mentions, mentionsOf(r, p.Payload)...)
	}
	if len(rows) > 0 {
		if err := tx.Create(&rows).Error; err != nil {
			return err
		}
		if err := tx.Create(&payloads).Error; err != nil {
			return err
		}
		if len(mentions) > 0 {
			if err := tx.CreateInBatches(&mentions, mentionBatch).Error; err != nil {
				return err
			}
		}
	}
	for _, store := range positions {
		h.Positions++
		if err := store(h.Positions); err != nil {
			return err
		}
	}
	return tx.Model(&head{}).Where("agency_id = ?", h.AgencyID).
		Updates(map[string]any{"number": h.Number, "hash": h.Hash, "positions": h.Positions}).Error
}

func (p payloadRow) hash() []byte {
	sum := sha256.Sum256(append(slices.Clone(p.Salt), p.Payload...))
	return sum[:]
}

// digest is the row's hash: SHA-256 over its fields, one a line, in this order.
// No field can hold a line break, so a verifier needs nothing but this list.
func (r Row) digest() []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"genba-journal-1", r.AgencyID, strconv.FormatInt(r.Number, 10), r.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		string(r.ActorKind), r.ActorID, string(r.ActorRole), string(r.Type), string(r.SubjectKind), r.SubjectID,
		r.CaseID, r.SessionID, hex.EncodeToString(r.PayloadHash), hex.EncodeToString(r.PrevHash),
	}, "\n")))
	return sum[:]
}

// Filter narrows a reading. Empty fields do not narrow.
type Filter struct {
	// Follow is the id of a person, a case, a session, a file or anything else:
	// what it did, what was done to it, and what names it.
	Follow    string
	CaseID    string
	SessionID string
	ActorID   string
	SubjectID string
	Types     []Type
	Since     *time.Time
	Until     *time.Time
}

func (f Filter) apply(q *gorm.DB) *gorm.DB {
	if f.Follow != "" {
		q = q.Where("(actor_id = ? OR subject_id = ? OR case_id = ? OR session_id = ? OR EXISTS (SELECT 1 FROM journal_mentions m "+
			"WHERE m.agency_id = journal_entries.agency_id AND m.mentioned = ? AND m.number = journal_entries.number))", f.Follow, f.Follow, f.Follow, f.Follow, f.Follow)
	}
	if f.CaseID != "" {
		q = q.Where("case_id = ?", f.CaseID)
	}
	if f.SessionID != "" {
		q = q.Where("session_id = ?", f.SessionID)
	}
	if f.ActorID != "" {
		q = q.Where("actor_id = ?", f.ActorID)
	}
	if f.SubjectID != "" {
		q = q.Where("subject_id = ?", f.SubjectID)
	}
	if len(f.Types) > 0 {
		q = q.Where("type IN ?", f.Types)
	}
	if f.Since != nil {
		q = q.Where("at >= ?", database.Instant(*f.Since))
	}
	if f.Until != nil {
		q = q.Where("at < ?", database.Instant(*f.Until))
	}
	return q
}

// After reads the agency's entries with numbers above after, oldest first, at
// most limit, payloads included.
func (j *Journal) After(ctx context.Context, agency string, after int64, f Filter, limit int) ([]Row, error) {
	q := j.db.Read(ctx)
	var rows []Row
	err := f.apply(q.Where("agency_id = ? AND number > ?", agency, after)).Order("number").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return rows, j.fill(q, agency, rows)
}

// Before reads the agency's entries with numbers below before (0: from the
// newest), newest first, at most limit, payloads included.
func (j *Journal) Before(ctx context.Context, agency string, before int64, f Filter, limit int) ([]Row, error) {
	q := j.db.Read(ctx)
	var rows []Row
	s := f.apply(q.Where("agency_id = ?", agency))
	if before > 0 {
		s = s.Where("number < ?", before)
	}
	if err := s.Order("number DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return rows, j.fill(q, agency, rows)
}

func (j *Journal) fill(q *gorm.DB, agency string, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	numbers := make([]int64, len(rows))
	for i, r := range rows {
		numbers[i] = r.Number
	}
	var payloads []payloadRow
	if err := q.Where("agency_id = ? AND number IN ?", agency, numbers).Find(&payloads).Error; err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	byNumber := make(map[int64][]byte, len(payloads))
	for _, p := range payloads {
		byNumber[p.Number] = p.Payload
	}
	for i := range rows {
		rows[i].Payload = byNumber[rows[i].Number]
	}
	return nil
}

// personal are the payload's fields that identify a caller. The rooms show them
// through fields of their own, which know who may see them now.
var personal = []string{"number", "email", "emailReason", "address", "place", "notes"}

// Shown is a payload without what identifies a caller.
func Shown(payload []byte) (string, error) {
	var said any
	if err := json.Unmarshal(payload, &said); err != nil {
		return "", fmt.Errorf("read payload: %w", err)
	}
	fields, ok := said.(map[string]any)
	if !ok {
		return string(payload), nil
	}
	for _, p := range personal {
		delete(fields, p)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("show payload: %w", err)
	}
	return string(text), nil
}

// At is the newest place in the agency's journal and positions.
func (j *Journal) At(ctx context.Context, agency string) (Cursor, error) {
	q := j.db.Read(ctx)
	var h head
	if err := q.Limit(1).Find(&h, "agency_id = ?", agency).Error; err != nil {
		return Cursor{}, fmt.Errorf("read journal head: %w", err)
	}
	return Cursor{Entries: h.Number, Positions: h.Positions}, nil
}

// Consistent runs read so that everything it reads, and the cursor it answers,
// are of one state: whoever goes on after the cursor misses nothing and sees
// nothing twice. read must not read concurrently.
func (j *Journal) Consistent(ctx context.Context, agency string, read func(ctx context.Context) error) (Cursor, error) {
	var at Cursor
	err := j.db.Snapshot(ctx, func(ctx context.Context) (err error) {
		if at, err = j.At(ctx, agency); err != nil {
			return err
		}
		return read(ctx)
	})
	return at, err
}

// EmptyPayloads destroys what the journal said about people in the entries that
// f selects: of a case, its sessions included, or of one session. The chain stays
// whole.
func (j *Journal) EmptyPayloads(tx *database.Tx, agency string, f Filter) error {
	if f.CaseID == "" && f.SessionID == "" {
		return errors.New("journal: refusing to empty a whole agency")
	}
	numbers := f.apply(tx.Model(&Row{}).Select("number").Where("agency_id = ?", agency))
	if err := tx.Where("agency_id = ? AND number IN (?)", agency, numbers).Delete(&payloadRow{}).Error; err != nil {
		return fmt.Errorf("empty payloads: %w", err)
	}
	return nil
}

// Fault is one place where the chain does not hold.
type Fault struct {
	Agency string
	Number int64
	What   string
}

// Report is what a verification found.
type Report struct {
	Agencies int
	Entries  int64
	Emptied  int64 // entries whose payload retention has destroyed
	Faults   []Fault
}

const (
	verifyBatch = 1000
	maxFaults   = 100
)

// Verify walks every chain: numbers without a gap, each hash over its row and
// its predecessor, each payload that is still there against its hash, the head
// against the last row. It stops listing after 100 faults.
func (j *Journal) Verify(ctx context.Context) (Report, error) {
	var rep Report
	err := j.db.Snapshot(ctx, func(ctx context.Context) error {
		q := j.db.Read(ctx)
		var agencies []string
		if err := q.Raw("SELECT agency_id FROM journal_heads UNION SELECT DISTINCT agency_id FROM journal_entries ORDER BY 1").Scan(&agencies).Error; err != nil {
			return err
		}
		rep.Agencies = len(agencies)
		for _, a := range agencies {
			if err := j.verifyAgency(q, a, &rep); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return rep, fmt.Errorf("verify journal: %w", err)
	}
	return rep, nil
}

func (j *Journal) verifyAgency(q *gorm.DB, agency string, rep *Report) error {
	fault := func(n int64, what string) {
		if len(rep.Faults) < maxFaults {
			rep.Faults = append(rep.Faults, Fault{agency, n, what})
		}
	}
	prev, last := make([]byte, sha256.Size), int64(0)
	for {
		var rows []Row
		if err := q.Where("agency_id = ? AND number > ?", agency, last).Order("number").Limit(verifyBatch).Find(&rows).Error; err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		var stored []payloadRow
		if err := q.Where("agency_id = ? AND number > ? AND number <= ?", agency, last, rows[len(rows)-1].Number).Find(&stored).Error; err != nil {
			return err
		}
		payloads := make(map[int64]payloadRow, len(stored))
		for _, p := range stored {
			payloads[p.Number] = p
		}
		for _, r := range rows {
			rep.Entries++
			if r.Number != last+1 {
				fault(r.Number, fmt.Sprintf("number %d follows %d", r.Number, last))
			}
			if !bytes.Equal(r.PrevHash, prev) {
				fault(r.Number, "does not follow the entry before it")
			}
			if !bytes.Equal(r.Hash, r.digest()) {
				fault(r.Number, "was changed")
			}
			if p, there := payloads[r.Number]; !there {
				rep.Emptied++
			} else if !bytes.Equal(p.hash(), r.PayloadHash) {
				fault(r.Number, "its payload was changed")
			}
			prev, last = r.Hash, r.Number
		}
	}
	var h head
	if err := q.Limit(1).Find(&h, "agency_id = ?", agency).Error; err != nil {
		return err
	}
	if h.Number != last || (last > 0 && !bytes.Equal(h.Hash, prev)) {
		fault(last, fmt.Sprintf("the head says %d entries", h.Number))
	}
	return nil
}
