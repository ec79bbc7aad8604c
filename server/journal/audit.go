package journal

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"genba/policy"
	"genba/server/database"
)

// mention says that an entry names something by its id.
type mention struct {
	AgencyID  string `gorm:"primaryKey"`
	Mentioned string `gorm:"primaryKey"`
	Number    int64  `gorm:"primaryKey;autoIncrement:false"`
}

func (mention) TableName() string { return "journal_mentions" }

const (
	mentionBatch = 100
	maxMentions  = 500 // of one entry
)

var idForm = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"`)

// mentionsOf are the ids in a payload that the row itself does not name.
func mentionsOf(r Row, payload []byte) (all []mention) {
	seen := []string{r.ActorID, r.SubjectID, r.CaseID, r.SessionID}
	for _, found := range idForm.FindAll(payload, maxMentions) {
		id := string(found[1 : len(found)-1])
		if !slices.Contains(seen, id) {
			seen = append(seen, id)
			all = append(all, mention{r.AgencyID, id, r.Number})
		}
	}
	return all
}

// audit is what verifying and exporting need of the house around.
type audit struct {
	key       ed25519.PrivateKey
	elsewhere func(ctx context.Context) ([]Checkpoint, error)
	beside    func(what string, work func(ctx context.Context) error)
	still     func(ctx context.Context, login string) error
}

// AuditBy gives what verifying and exporting need: the key of checkpoints, the
// checkpoints that stand on another machine (nil: none can be read), how work
// goes on beside a request, and whether a sign-in may still audit.
func (j *Journal) AuditBy(key ed25519.PrivateKey, elsewhere func(context.Context) ([]Checkpoint, error),
	beside func(string, func(context.Context) error), still func(ctx context.Context, login string) error,
) {
	j.audit = audit{key, elsewhere, beside, still}
}

// Verification is one walk over an agency's chain: numbers without a gap, each
// hash over its entry and its predecessor, each payload that is still there, the
// agency's checkpoints, and those that stand on another machine.
type Verification struct {
	ID         string
	AgencyID   string
	StartedBy  string
	StartedAt  time.Time
	FinishedAt *time.Time
	Entries    int64
	Emptied    int64
	// Checkpoints were compared; Elsewhere of them stand on another machine.
	Checkpoints int64
	Elsewhere   int64
	Faults      []VerificationFault `gorm:"serializer:json"`
	// Failed says that it could not be finished.
	Failed bool
}

// VerificationFault is one place where the chain does not hold.
type VerificationFault struct {
	Number int64
	What   string
}

// TableName is the table of verifications.
func (Verification) TableName() string { return "journal_verifications" }

// verifyingFor is after how long a verification counts as broken off.
const verifyingFor = time.Hour

// BeginVerification starts to verify the actor's agency's chain, beside the
// request; one that is under way is answered instead. The result is journaled.
func (j *Journal) BeginVerification(ctx context.Context, actor policy.Actor) (*Verification, error) {
	var v *Verification
	err := j.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := lockHead(tx, actor.Agency); err != nil { // one at a time
			return err
		}
		var open []*Verification
		err := tx.Order("started_at DESC").Limit(1).Find(&open, "agency_id = ? AND finished_at IS NULL AND started_at > ?", actor.Agency, tx.Now.Add(-verifyingFor)).Error
		if err != nil {
			return err
		}
		if len(open) > 0 {
			v = open[0]
			return nil
		}
		v = &Verification{ID: uuid.Must(uuid.NewV7()).String(), AgencyID: actor.Agency, StartedBy: actor.ID, StartedAt: tx.Now, Faults: []VerificationFault{}}
		if err := tx.Create(v).Error; err != nil {
			return err
		}
		id := v.ID
		tx.AfterCommit(func() {
			work := func(ctx context.Context) error { return j.verify(ctx, actor, id) }
			if j.audit.beside != nil {
				j.audit.beside("verify the journal", work)
				return
			}
			_ = work(context.WithoutCancel(ctx)) // what failed stands in the row
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("begin to verify: %w", err)
	}
	return v, nil
}

// LastVerification is an agency's newest one; nil where there was none.
func (j *Journal) LastVerification(ctx context.Context, agency string) (*Verification, error) {
	var found []*Verification
	if err := j.db.Read(ctx).Order("started_at DESC, id DESC").Limit(1).Find(&found, "agency_id = ?", agency).Error; err != nil {
		return nil, fmt.Errorf("read verification: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// verify walks the chain and notes what it found.
func (j *Journal) verify(ctx context.Context, actor policy.Actor, id string) error {
	var v Verification
	if err := j.db.Read(ctx).Take(&v, "id = ?", id).Error; err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	failed := j.walk(ctx, &v)
	err := j.db.InTx(ctx, func(tx *database.Tx) error {
		v.FinishedAt, v.Failed = &tx.Now, failed != nil
		if err := tx.Save(&v).Error; err != nil {
			return err
		}
		j.Append(tx, Entry{
			Agency: v.AgencyID, Actor: actor, Type: JournalVerified, Subject: Subject{Kind: policy.Journal, ID: v.AgencyID},
			Payload: map[string]any{"entries": v.Entries, "checkpoints": v.Checkpoints, "elsewhere": v.Elsewhere, "faults": len(v.Faults), "failed": v.Failed},
		})
		return nil
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

func (j *Journal) walk(ctx context.Context, v *Verification) error {
	var rep Report
	err := j.db.Snapshot(ctx, func(ctx context.Context) error { return j.verifyAgency(j.db.Read(ctx), v.AgencyID, &rep) })
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	v.Entries, v.Emptied = rep.Entries, rep.Emptied
	faults := rep.Faults
	if j.audit.key != nil {
		own, elsewhere, err := j.checkpointsOf(ctx, v.AgencyID)
		if err != nil {
			return err
		}
		v.Checkpoints, v.Elsewhere = int64(len(own)+len(elsewhere)), int64(len(elsewhere))
		public, _ := j.audit.key.Public().(ed25519.PublicKey)
		differs, err := j.Compare(ctx, public, append(own, elsewhere...))
		if err != nil {
			return err
		}
		faults = append(faults, differs...)
	}
	for _, f := range faults[:min(len(faults), maxFaults)] {
		v.Faults = append(v.Faults, VerificationFault{f.Number, f.What})
	}
	return nil
}

// checkpointsOf are an agency's checkpoints in the database, and those that
// stand on another machine.
func (j *Journal) checkpointsOf(ctx context.Context, agency string) (own, elsewhere []Checkpoint, err error) {
	if err := j.db.Read(ctx).Order("number").Find(&own, "agency_id = ?", agency).Error; err != nil {
		return nil, nil, fmt.Errorf("read checkpoints: %w", err)
	}
	if j.audit.elsewhere == nil {
		return own, nil, nil
	}
	all, err := j.audit.elsewhere(ctx)
	if err != nil {
		return nil, nil, err
	}
	return own, slices.DeleteFunc(all, func(c Checkpoint) bool { return c.AgencyID != agency }), nil
}

// MarshalJSON keeps a filter beside an export.
func (f Filter) MarshalJSON() ([]byte, error) {
	said := map[string]any{}
	for name, value := range map[string]string{"follow": f.Follow, "case": f.CaseID, "session": f.SessionID, "actor": f.ActorID, "subject": f.SubjectID} {
		if value != "" {
			said[name] = value
		}
	}
	if len(f.Types) > 0 {
		said["types"] = f.Types
	}
	if f.Since != nil {
		said["since"] = f.Since.UTC()
	}
	if f.Until != nil {
		said["until"] = f.Until.UTC()
	}
	return json.Marshal(said)
}

// UnmarshalJSON reads it back.
func (f *Filter) UnmarshalJSON(text []byte) error {
	var said struct {
		Follow, Case, Session, Actor, Subject string
		Types                                 []Type
		Since, Until                          *time.Time
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return err
	}
	*f = Filter{
		Follow: said.Follow, CaseID: said.Case, SessionID: said.Session, ActorID: said.Actor, SubjectID: said.Subject,
		Types: said.Types, Since: said.Since, Until: said.Until,
	}
	return nil
}
