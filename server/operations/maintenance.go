package operations

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxNotice      = 100                 // characters of a notice's number
	maxMaintenance = 31 * 24 * time.Hour // what lasts longer is no pause
	// aheadForPolice is how long before a pause everybody at work sees it, and
	// aheadForCallers a caller, whom a pause of next week would only frighten.
	aheadForPolice  = 7 * 24 * time.Hour
	aheadForCallers = time.Hour
	maxAhead        = 20 // pauses that are shown
)

// Maintenance is a time in which reception stops (第4の5): the national police
// told it by a notice with a number, or it is unavoidable for a reason.
type Maintenance struct {
	ID          string
	AgencyID    string `gorm:"serializer:optional"` // empty: everybody's
	Notice      string
	Reason      string
	BeginsAt    time.Time
	EndsAt      time.Time
	AnnouncedBy string
	AnnouncedAt time.Time
	EndedAt     *time.Time // it was ended early or will not be
	EndedBy     string
}

// NewMaintenance describes a pause: a notice's number or a reason, not both.
type NewMaintenance struct {
	Notice, Reason   string
	BeginsAt, EndsAt time.Time
}

// Announce announces a pause. MAINTENANCE_GROUND, BAD_INPUT for times that are
// over or the wrong way round.
func (o *Operations) Announce(ctx context.Context, actor policy.Actor, in NewMaintenance) (*Maintenance, error) {
	notice, reason := trimmed(in.Notice), trimmed(in.Reason)
	if (notice == "") == (reason == "") || actor.Agency == "" && notice == "" { // for all agencies only by notice
		return nil, problem.New(problem.MaintenanceGround)
	}
	if err := tooLong(reason); err != nil {
		return nil, err
	}
	if err := short(notice, maxNotice); err != nil {
		return nil, err
	}
	m := &Maintenance{
		ID: identity.NewID(), AgencyID: actor.Agency, Notice: notice, Reason: reason,
		BeginsAt: database.Instant(in.BeginsAt), EndsAt: database.Instant(in.EndsAt), AnnouncedBy: actor.ID,
	}
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		m.AnnouncedAt = tx.Now
		if !m.BeginsAt.Before(m.EndsAt) || !tx.Now.Before(m.EndsAt) || m.EndsAt.Sub(m.BeginsAt) > maxMaintenance {
			return problem.New(problem.BadInput)
		}
		if err := tx.Create(m).Error; err != nil {
			return err
		}
		o.journal.Append(tx, m.entry(actor, journal.MaintenanceAnnounced, map[string]any{
			"notice": m.Notice, "reason": m.Reason, "beginsAt": m.BeginsAt, "endsAt": m.EndsAt,
		}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("announce maintenance: %w", err)
	}
	return m, nil
}

func (m *Maintenance) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: m.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Maintenance, ID: m.ID}, Payload: payload}
}

// EndMaintenance says that a pause is over, or will not be. Repeating it changes
// nothing. NOT_FOUND.
func (o *Operations) EndMaintenance(ctx context.Context, actor policy.Actor, id string) (*Maintenance, error) {
	var m Maintenance
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		q := tx.Lock().Where("id = ?", id)
		if actor.Agency == "" {
			q = q.Where("agency_id IS NULL")
		} else {
			q = q.Where("agency_id = ?", actor.Agency)
		}
		if err := q.Take(&m).Error; err != nil {
			return notFound(err)
		}
		if m.EndedAt != nil || !tx.Now.Before(m.EndsAt) {
			return nil
		}
		m.EndedAt, m.EndedBy = &tx.Now, actor.ID
		if err := tx.Save(&m).Error; err != nil {
			return err
		}
		o.journal.Append(tx, m.entry(actor, journal.MaintenanceEnded, map[string]any{"begun": !tx.Now.Before(m.BeginsAt)}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("end maintenance: %w", err)
	}
	return &m, nil
}

// Maintenances reads an agency's pauses and everybody's, the latest first, after
// a place, at most limit.
func (o *Operations) Maintenances(ctx context.Context, agency string, after *Place, limit int) ([]*Maintenance, error) {
	q := o.db.Read(ctx).Where("agency_id IS NULL")
	if agency != "" {
		q = o.db.Read(ctx).Where("agency_id = ? OR agency_id IS NULL", agency)
	}
	var found []*Maintenance
	if err := ordered(q, "begins_at", after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list maintenance: %w", err)
	}
	return found, nil
}

// ahead are the pauses that go on or begin within a time.
func (o *Operations) ahead(ctx context.Context, agency string, within time.Duration) ([]*Maintenance, error) {
	now := o.db.Now()
	q := o.db.Read(ctx).Where("ended_at IS NULL AND ends_at > ? AND begins_at <= ?", now, now.Add(within))
	if agency == "" {
		q = q.Where("agency_id IS NULL")
	} else {
		q = q.Where("agency_id = ? OR agency_id IS NULL", agency)
	}
	var found []*Maintenance
	if err := q.Order("begins_at, id").Limit(maxAhead).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read maintenance: %w", err)
	}
	return found, nil
}

// NoticeKind is what a notice is about.
type NoticeKind string

// The kinds of notice.
const (
	MaintenanceNotice NoticeKind = "MAINTENANCE"
	OutageNotice      NoticeKind = "OUTAGE"
	DrillNotice       NoticeKind = "DRILL"
)

// Notice is one sentence that stands on every page while it is true.
type Notice struct {
	ID       string
	Kind     NoticeKind
	Ja, En   string
	BeginsAt *time.Time
	EndsAt   *time.Time
}

// drillNotice stands on every page of a drill (第11).
var drillNotice = &Notice{
	ID: "drill", Kind: DrillNotice, Ja: "訓練です。本当の通報ではありません。", En: "This is a drill, not a real report.",
}

// CallerNotices is what a caller's page shows: a pause that is near, and that it
// is a drill.
func (o *Operations) CallerNotices(ctx context.Context, agency string, drill bool) ([]*Notice, error) {
	notices := []*Notice{}
	if drill {
		notices = append(notices, drillNotice)
	}
	pauses, err := o.ahead(ctx, agency, aheadForCallers)
	for _, m := range pauses {
		from, ja, en := m.BeginsAt, "映像などを送れません。電話はそのまま使えます。", "you cannot send video. Your phone call goes on."
		n := &Notice{ID: m.ID, Kind: MaintenanceNotice, BeginsAt: &m.BeginsAt, EndsAt: &m.EndsAt}
		n.Ja, n.En = timeJa(from, m.EndsAt)+"、"+ja, timeEn(from, m.EndsAt)+", "+en
		notices = append(notices, n)
	}
	return notices, err
}

// PoliceNotices is what the pages of those at work show: pauses ahead (第4の5) and
// faults that are open (第10).
func (o *Operations) PoliceNotices(ctx context.Context, agency string) ([]*Notice, error) {
	pauses, err := o.ahead(ctx, agency, aheadForPolice)
	if err != nil {
		return nil, err
	}
	notices := []*Notice{}
	for _, m := range pauses {
		n := &Notice{ID: m.ID, Kind: MaintenanceNotice, BeginsAt: &m.BeginsAt, EndsAt: &m.EndsAt}
		n.Ja = "運用停止：" + timeJa(m.BeginsAt, m.EndsAt) + "、映像通報を受理できません。"
		n.En = "Maintenance: " + timeEn(m.BeginsAt, m.EndsAt) + ", no video reports can be received."
		notices = append(notices, n)
	}
	if agency == "" {
		return notices, nil // faults are the agencies'
	}
	open, err := o.openOutages(ctx, agency)
	if err != nil {
		return nil, err
	}
	for _, x := range open {
		w := partWords[x.Part]
		notices = append(notices, &Notice{ID: x.ID, Kind: OutageNotice, Ja: "障害：" + w[0], En: "Fault: " + w[1], BeginsAt: &x.OpenedAt})
	}
	return notices, nil
}

// timeJa and timeEn write when a pause is, in Japan's time.
func timeJa(from, until time.Time) string {
	const day = "1月2日15:04"
	from, until = from.In(tokyo), until.In(tokyo)
	if sameDay(from, until) {
		return from.Format(day) + "から" + until.Format("15:04") + "まで"
	}
	return from.Format(day) + "から" + until.Format(day) + "まで"
}

func timeEn(from, until time.Time) string {
	const day = "2 Jan 15:04"
	from, until = from.In(tokyo), until.In(tokyo)
	if sameDay(from, until) {
		return from.Format(day) + " to " + until.Format("15:04")
	}
	return from.Format(day) + " to " + until.Format(day)
}

func sameDay(a, b time.Time) bool { return a.Format(time.DateOnly) == b.Format(time.DateOnly) }

// short refuses a text of more characters than a field has.
func short(text string, most int) error {
	if utf8.RuneCountInString(text) > most || tooLong(text) != nil {
		return problem.New(problem.BadInput)
	}
	return nil
}
