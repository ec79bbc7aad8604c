package operations

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Part is what of the system has a fault.
type Part string

// The parts.
const (
	Storage   Part = "STORAGE"
	Recording Part = "RECORDING"
	Messages  Part = "MESSAGES"
	Database  Part = "DATABASE"
	Live      Part = "LIVE"
	Clock     Part = "CLOCK"
	Terminals Part = "TERMINALS"
	OtherPart Part = "OTHER"
)

// partWords say what does not work, and what to do about it meanwhile.
var partWords = map[Part][2]string{
	Storage:   {"ファイルを保存する場所に異常があります。写真・動画が保存できないおそれがあります。", "the place where files are kept has a fault. Photos and videos may not be stored."},
	Recording: {"ライブ映像を録画できません。必要な場面は静止画で残してください。", "live video is not being recorded. Keep what matters as stills."},
	Messages:  {"SMS・電子メールが届かないおそれがあります。送信状況を確かめてください。", "messages may not arrive. Watch each delivery."},
	Database:  {"データベースに異常がありました。直前の入力が保存されたか確かめてください。", "the database had a fault. Check that what was just entered is there."},
	Live:      {"ライブ映像を受けられません。写真を頼んでください。", "live video cannot be received. Ask for photos."},
	Clock:     {"サーバの時計を確かめています。", "the server's clock is in doubt."},
	Terminals: {"受理端末に異常があります。", "a receiving terminal has a fault."},
	OtherPart: {"システムに障害があります。運用管理者に確かめてください。", "the system has a fault. Ask the supervisor."},
}

// Outage is a fault (障害, 第10): noticed by the server or by a supervisor, and
// closed only once somebody was told.
type Outage struct {
	ID          string
	AgencyID    string
	Part        Part
	Alarm       bool // the server noticed it
	Description string
	OpenedBy    string
	OpenedAt    time.Time
	Seen        int // how often an alarm was raised
	LastSeenAt  time.Time
	ClosedAt    *time.Time
	ClosedBy    string
	Outcome     string
}

func (x *Outage) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: x.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Outage, ID: x.ID}, Payload: payload}
}

// OpenOutage records a fault that somebody noticed. REASON_MISSING.
func (o *Operations) OpenOutage(ctx context.Context, actor policy.Actor, part Part, description string) (*Outage, error) {
	description, err := said(description)
	if err != nil {
		return nil, err
	}
	x := &Outage{ID: identity.NewID(), AgencyID: actor.Agency, Part: part, Description: description, OpenedBy: actor.ID, Seen: 1}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		x.OpenedAt, x.LastSeenAt = tx.Now, tx.Now
		if err := tx.Create(x).Error; err != nil {
			return err
		}
		o.journal.Append(tx, x.entry(actor, journal.OutageOpened, map[string]any{"part": x.Part, "alarm": false, "description": x.Description}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open outage: %w", err)
	}
	return x, nil
}

// Alarm opens a fault that the server noticed, or counts it once more where one
// of that part is open: of one agency, or of all where agency is empty.
func (o *Operations) Alarm(ctx context.Context, agency string, part Part) error {
	agencies := []string{agency}
	if agency == "" {
		all, err := o.people.OtherAgencies(ctx, identity.NewID())
		if err != nil {
			return err
		}
		agencies = agencies[:0]
		for _, a := range all {
			agencies = append(agencies, a.ID)
		}
	}
	for _, a := range agencies {
		err := o.db.InTx(ctx, func(tx *database.Tx) error {
			again := tx.Model(&Outage{}).Where("agency_id = ? AND part = ? AND alarm AND closed_at IS NULL", a, part).
				Updates(map[string]any{"seen": clause.Expr{SQL: "seen + 1"}, "last_seen_at": tx.Now})
			if again.Error != nil || again.RowsAffected > 0 {
				return again.Error
			}
			x := &Outage{ID: identity.NewID(), AgencyID: a, Part: part, Alarm: true, OpenedAt: tx.Now, Seen: 1, LastSeenAt: tx.Now}
			made := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(x)
			if made.Error != nil || made.RowsAffected == 0 { // another process was faster
				return made.Error
			}
			o.journal.Append(tx, x.entry(policy.SystemActor(), journal.OutageOpened, map[string]any{"part": part, "alarm": true}))
			return nil
		})
		if err != nil {
			return fmt.Errorf("raise alarm: %w", err)
		}
	}
	return nil
}

// CloseOutage closes a fault: what became of it is written down, and before it
// when, whom and how a supervisor told (第10). OUTAGE_NOT_TOLD, REASON_MISSING,
// NOT_FOUND.
func (o *Operations) CloseOutage(ctx context.Context, actor policy.Actor, id, outcome string) (*Outage, error) {
	outcome, err := said(outcome)
	if err != nil {
		return nil, err
	}
	var x Outage
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&x, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if x.ClosedAt != nil {
			return nil
		}
		var told int64
		if err := tx.Model(&ContactNote{}).Where("outage_id = ?", x.ID).Count(&told).Error; err != nil {
			return err
		}
		if told == 0 {
			return problem.New(problem.OutageNotTold)
		}
		x.ClosedAt, x.ClosedBy, x.Outcome = &tx.Now, actor.ID, outcome
		if err := tx.Save(&x).Error; err != nil {
			return err
		}
		o.journal.Append(tx, x.entry(actor, journal.OutageClosed, map[string]any{"part": x.Part, "told": told, "outcome": outcome}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("close outage: %w", err)
	}
	return &x, nil
}

const maxOpenOutages = 50

func (o *Operations) openOutages(ctx context.Context, agency string) ([]*Outage, error) {
	var found []*Outage
	err := o.db.Read(ctx).Where("agency_id = ? AND closed_at IS NULL", agency).Order("opened_at, id").Limit(maxOpenOutages).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read outages: %w", err)
	}
	return found, nil
}

// Outages reads an agency's faults, newest first, after a place, at most limit;
// only open or only closed ones where open is not nil.
func (o *Operations) Outages(ctx context.Context, agency string, open *bool, after *Place, limit int) ([]*Outage, error) {
	q := o.db.Read(ctx).Where("agency_id = ?", agency)
	if open != nil && *open {
		q = q.Where("closed_at IS NULL")
	} else if open != nil {
		q = q.Where("closed_at IS NOT NULL")
	}
	var found []*Outage
	if err := ordered(q, "opened_at", after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list outages: %w", err)
	}
	return found, nil
}

// OutagesByID reads faults of an agency.
func (o *Operations) OutagesByID(ctx context.Context, agency string, ids []string) (map[string]*Outage, error) {
	var found []*Outage
	if err := o.db.Read(ctx).Find(&found, "agency_id = ? AND id IN ?", agency, ids).Error; err != nil {
		return nil, fmt.Errorf("read outages: %w", err)
	}
	byID := make(map[string]*Outage, len(found))
	for _, x := range found {
		byID[x.ID] = x
	}
	return byID, nil
}
