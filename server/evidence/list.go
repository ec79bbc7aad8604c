package evidence

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
)

// Filter narrows a list of media files. Empty fields do not narrow.
type Filter struct {
	CaseID        *string
	SessionID     *string
	Kind          *Kind
	Capture       *Capture
	State         *State
	AcquiredSince *time.Time
	AcquiredUntil *time.Time
}

// Sort orders a list of media files.
type Sort string

// The orders. A file that is still coming in stands where its beginning does.
const (
	AcquiredNewest Sort = "ACQUIRED_NEWEST"
	AcquiredOldest Sort = "ACQUIRED_OLDEST"
	DueFirst       Sort = "DUE_FIRST"
)

// Place is where a page of a list goes on: the sort time and id of its last row.
type Place struct {
	At time.Time
	ID string
}

const (
	acquiredOrder = "coalesce(acquired_at, created_at)"
	dueOrder      = "coalesce(due_at, created_at)"
)

// PlaceOf is where a list in that order goes on after m.
func (s Sort) PlaceOf(m *MediaFile) Place {
	at := m.AcquiredAt
	if s == DueFirst {
		at = m.DueAt
	}
	if at == nil {
		at = &m.CreatedAt
	}
	return Place{At: *at, ID: m.ID}
}

// List reads media files of an agency that are not overdue, at most limit,
// after a place in the order.
func (e *Evidence) List(ctx context.Context, agency string, f Filter, sort Sort, after *Place, limit int) ([]*MediaFile, error) {
	q := e.DB.Read(ctx).Where("agency_id = ? AND (due_at IS NULL OR due_at > ?)", agency, e.latest())
	q = where(q, "case_id = ?", f.CaseID)
	q = where(q, "session_id = ?", f.SessionID)
	q = where(q, "kind = ?", f.Kind)
	q = where(q, "capture = ?", f.Capture)
	q = where(q, "state = ?", f.State)
	q = where(q, "acquired_at >= ?", utc(f.AcquiredSince))
	q = where(q, "acquired_at < ?", utc(f.AcquiredUntil))
	column, descending, compare := acquiredOrder, true, "<"
	switch sort {
	case AcquiredOldest:
		descending, compare = false, ">"
	case DueFirst:
		column, descending, compare = dueOrder, false, ">"
	}
	if after != nil {
		q = q.Where("("+column+", id) "+compare+" (?, ?)", database.Instant(after.At), after.ID)
	}
	var found []*MediaFile
	err := q.Order(clause.OrderByColumn{Column: clause.Column{Name: column, Raw: true}, Desc: descending}).
		Order(clause.OrderByColumn{Column: clause.Column{Name: "id"}, Desc: descending}).Limit(limit).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list media files: %w", err)
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

// FilesByID reads media files of an agency by id; what is not there, or overdue, is
// left out.
func (e *Evidence) FilesByID(ctx context.Context, agency string, ids []string) (map[string]*MediaFile, error) {
	var found []*MediaFile
	err := e.DB.Read(ctx).Find(&found, "agency_id = ? AND id IN ? AND (due_at IS NULL OR due_at > ?)", agency, ids, e.latest()).Error
	if err != nil {
		return nil, fmt.Errorf("read media files: %w", err)
	}
	byID := make(map[string]*MediaFile, len(found))
	for _, m := range found {
		byID[m.ID] = m
	}
	return byID, nil
}

// Own lists what the actor's phone sent into its session, oldest first.
func (e *Evidence) Own(ctx context.Context, actor policy.Actor) ([]*MediaFile, error) {
	var found []*MediaFile
	err := e.DB.Read(ctx).Where("session_id = ? AND phone_id = ? AND kind <> ?", actor.Session, actor.ID, KindRecording).
		Order("id").Limit(identity.MaxSessionFiles).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list own uploads: %w", err)
	}
	return found, nil
}

// Received is how many bytes of uploads a session has used of what its agency
// allows: what came, and what is announced of files still coming.
func (e *Evidence) Received(ctx context.Context, session string) (int64, error) {
	_, bytes, err := sent(e.DB.Read(ctx), session)
	if err != nil {
		return 0, err
	}
	live, err := e.streamed(ctx, session)
	return bytes + live, err
}

// Arriving counts the uploads that are on their way, by session.
func (e *Evidence) Arriving(ctx context.Context, agency string, sessions []string) (map[string]int, error) {
	var rows []struct {
		SessionID string
		N         int
	}
	err := e.DB.Read(ctx).Model(&MediaFile{}).Select("session_id, count(*) AS n").
		Where("agency_id = ? AND session_id IN ? AND state = ? AND kind <> ?", agency, sessions, Receiving, KindRecording).
		Group("session_id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count arriving uploads: %w", err)
	}
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.SessionID] = r.N
	}
	return counts, nil
}

// Viewings reads who looked at a session's live video and files, newest first,
// at most limit, after a place.
func (e *Evidence) Viewings(ctx context.Context, agency, session string, after *Place, limit int) ([]*Viewing, error) {
	q := e.DB.Read(ctx).Where("agency_id = ? AND session_id = ?", agency, session)
	if after != nil {
		q = q.Where("(opened_at, id) < (?, ?)", database.Instant(after.At), after.ID)
	}
	var found []*Viewing
	if err := q.Order("opened_at DESC, id DESC").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list viewings: %w", err)
	}
	return found, nil
}
