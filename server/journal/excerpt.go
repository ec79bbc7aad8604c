package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"genba/policy"
)

// excerptLine is one entry of an excerpt: every field that its hash covers, and
// salt and payload as far as retention has left them.
type excerptLine struct {
	Agency      string `json:"agency"`
	Number      int64  `json:"number"`
	At          string `json:"at"`
	ActorKind   string `json:"actorKind"`
	ActorID     string `json:"actorID"`
	ActorRole   string `json:"actorRole"`
	Type        string `json:"type"`
	SubjectKind string `json:"subjectKind"`
	SubjectID   string `json:"subjectID"`
	CaseID      string `json:"caseID"`
	SessionID   string `json:"sessionID"`
	PayloadHash string `json:"payloadHash"`
	PrevHash    string `json:"prevHash"`
	Hash        string `json:"hash"`
	// Salt is hex; both are left out where retention has emptied them.
	Salt    *string `json:"salt,omitempty"`
	Payload *string `json:"payload,omitempty"`
}

// excerptBatch bounds what of an excerpt is held in memory.
const excerptBatch = 500

// Excerpt hands the entries of a case with numbers up to until to each, oldest
// first, as lines of JSON, some hundred at a time.
func (j *Journal) Excerpt(ctx context.Context, agency, caseID string, until int64, each func(lines []byte, entries int) error) error {
	for last := int64(0); ; {
		var rows []Row
		err := j.db.Read(ctx).Where("agency_id = ? AND case_id = ? AND number > ? AND number <= ?", agency, caseID, last, until).
			Order("number").Limit(excerptBatch).Find(&rows).Error
		if err != nil {
			return fmt.Errorf("excerpt of the journal: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		numbers := make([]int64, len(rows))
		for i, r := range rows {
			numbers[i] = r.Number
		}
		var stored []payloadRow
		if err := j.db.Read(ctx).Find(&stored, "agency_id = ? AND number IN ?", agency, numbers).Error; err != nil {
			return fmt.Errorf("excerpt of the journal: %w", err)
		}
		payloads := make(map[int64]payloadRow, len(stored))
		for _, p := range stored {
			payloads[p.Number] = p
		}
		var lines bytes.Buffer
		for _, r := range rows {
			p, there := payloads[r.Number]
			text, err := json.Marshal(r.excerpt(p, there))
			if err != nil {
				return fmt.Errorf("excerpt of the journal: %w", err)
			}
			lines.Write(append(text, '\n'))
		}
		if err := each(lines.Bytes(), len(rows)); err != nil {
			return err
		}
		last = rows[len(rows)-1].Number
	}
}

func (r Row) excerpt(p payloadRow, there bool) excerptLine {
	l := excerptLine{
		Agency: r.AgencyID, Number: r.Number, At: r.At.UTC().Format(checkpointTime), ActorKind: string(r.ActorKind), ActorID: r.ActorID,
		ActorRole: string(r.ActorRole), Type: string(r.Type), SubjectKind: string(r.SubjectKind), SubjectID: r.SubjectID, CaseID: r.CaseID,
		SessionID: r.SessionID, PayloadHash: hex.EncodeToString(r.PayloadHash), PrevHash: hex.EncodeToString(r.PrevHash), Hash: hex.EncodeToString(r.Hash),
	}
	if there {
		salt, payload := hex.EncodeToString(p.Salt), string(p.Payload)
		l.Salt, l.Payload = &salt, &payload
	}
	return l
}

// ExcerptCheck checks an excerpt line by line, across as many readers as it
// comes in.
type ExcerptCheck struct {
	// Entries is how many were read, Emptied how many of them without payload.
	Entries, Emptied int
	// Last and Hash are of the newest entry.
	Last int64
	Hash []byte
	// Faults are at most 100.
	Faults []string
	// Said is called with each entry whose payload is there and holds.
	Said func(t Type, subjectID string, payload []byte)
}

// maxExcerptLine bounds one entry: a payload is at most what a request may hold.
const maxExcerptLine = 1 << 20

func (c *ExcerptCheck) fault(number int64, what string) {
	if len(c.Faults) < maxFaults {
		c.Faults = append(c.Faults, fmt.Sprintf("entry %d %s", number, what))
	}
}

// Read checks what one reader holds: each entry's hash over its fields, its
// payload against its hash, and where two entries stand next to each other in
// the journal, that the later follows the earlier.
func (c *ExcerptCheck) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxExcerptLine)
	for lines.Scan() {
		var l excerptLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("journal excerpt: %w", err)
		}
		if err := c.line(l); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("journal excerpt: %w", err)
	}
	return nil
}

func (c *ExcerptCheck) line(l excerptLine) error {
	at, err := time.Parse(checkpointTime, l.At)
	if err != nil {
		return fmt.Errorf("journal excerpt: %w", err)
	}
	r := Row{
		AgencyID: l.Agency, Number: l.Number, At: at, ActorKind: policy.Kind(l.ActorKind), ActorID: l.ActorID, ActorRole: policy.Role(l.ActorRole),
		Type: Type(l.Type), SubjectKind: policy.Object(l.SubjectKind), SubjectID: l.SubjectID, CaseID: l.CaseID, SessionID: l.SessionID,
		PayloadHash: unhex(l.PayloadHash), PrevHash: unhex(l.PrevHash), Hash: unhex(l.Hash),
	}
	c.Entries++
	if !bytes.Equal(r.digest(), r.Hash) {
		c.fault(l.Number, "was changed")
	}
	switch {
	case c.Entries > 1 && l.Number <= c.Last:
		c.fault(l.Number, "is not in its order")
	case c.Entries > 1 && l.Number == c.Last+1 && !bytes.Equal(r.PrevHash, c.Hash):
		c.fault(l.Number, "does not follow the entry before it")
	}
	c.Last, c.Hash = l.Number, r.Hash
	if l.Salt == nil || l.Payload == nil {
		c.Emptied++
		return nil
	}
	sum := sha256.Sum256(append(unhex(*l.Salt), *l.Payload...))
	if !bytes.Equal(sum[:], r.PayloadHash) {
		c.fault(l.Number, "has another payload")
		return nil
	}
	if c.Said != nil {
		c.Said(r.Type, r.SubjectID, []byte(*l.Payload))
	}
	return nil
}

// unhex reads hex; what is none becomes nothing, which matches no hash.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func systemEntry(agency string, t Type, payload any) Entry {
	return Entry{Agency: agency, Actor: policy.SystemActor(), Type: t, Subject: Subject{Kind: policy.Journal, ID: agency}, Payload: payload}
}
