package evidence

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// sharedLook is what a look by a share is for: what the share itself says. Which
// law asks for it stands in the share's ground.
func sharedLook(share *cases.Share) Look { return Look{Purpose: Purpose(share.Purpose), share: share} }

// sharedFile reads a file of the session that a share shows.
func (e *Evidence) sharedFile(ctx context.Context, share *cases.Share, id string) (*MediaFile, error) {
	if _, err := identity.ParseID(id); err != nil {
		return nil, problem.New(problem.NotFound)
	}
	m, err := find(e.DB.Read(ctx), id)
	if err != nil {
		return nil, err
	}
	if m.AgencyID != share.AgencyID || m.SessionID != share.SessionID {
		return nil, problem.New(problem.NotFound)
	}
	if e.overdue(m) { // the giver's due time rules
		return nil, problem.New(problem.Withheld)
	}
	return m, nil
}

// SharedFiles lists what came into the session that a share shows, newest first.
func (e *Evidence) SharedFiles(ctx context.Context, share *cases.Share, limit int) ([]*MediaFile, error) {
	return e.List(ctx, share.AgencyID, Filter{SessionID: &share.SessionID}, AcquiredNewest, nil, limit)
}

// ViewShared is View for what another agency gave. SHARE_OVER, SESSION_ENDED.
func (e *Evidence) ViewShared(ctx context.Context, actor policy.Actor, shareID string, life time.Duration) (*Viewing, error) {
	share, s, err := e.Cases.Received(ctx, actor, shareID)
	if err != nil {
		return nil, err
	}
	if s.State.Over() {
		return nil, problem.New(problem.SessionEnded)
	}
	return e.view(ctx, actor, Viewing{AgencyID: s.AgencyID, SessionID: s.ID}, s.CaseID, sharedLook(share), life)
}

// received is the entry of a look in the journal of the agency that looks: that
// it was, and by which share; nothing of what was seen.
func received(share *cases.Share, actor policy.Actor, v *Viewing) journal.Entry {
	return journal.Entry{
		Agency: share.ToAgencyID, Actor: actor, Type: journal.ShareViewed, Subject: journal.Subject{Kind: policy.Share, ID: share.ID},
		Payload: map[string]any{"viewing": v.ID, "agency": share.AgencyID, "live": v.MediaID == "", "purpose": v.Purpose},
	}
}

// Looked answers the session that the actor looks at by a live Viewing, where
// they still may. BEARER_INVALID for a Viewing that is not theirs; SHARE_OVER.
func (e *Evidence) Looked(ctx context.Context, actor policy.Actor, viewing string) (*cases.Session, error) {
	var v Viewing
	found := lookOf(e.DB.Read(ctx), actor).Limit(1).Find(&v, "id = ? AND media_id = ?", viewing, "")
	if found.Error != nil {
		return nil, fmt.Errorf("read viewing: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, problem.New(problem.BearerInvalid)
	}
	if v.ShareID != "" {
		_, s, err := e.Cases.Received(ctx, actor, v.ShareID)
		return s, err
	}
	s, err := e.Cases.Session(ctx, actor.Agency, v.SessionID)
	if err != nil {
		return nil, err
	}
	return s, s.StillShown(actor)
}

// lookOf narrows viewings to the actor's own: a person's, or an officer's phone's.
func lookOf(q *gorm.DB, actor policy.Actor) *gorm.DB {
	if actor.Kind == policy.StaffPhone {
		return q.Where("login_id = ? AND staff_member_id IS NOT NULL", actor.Login)
	}
	return q.Where("user_id = ?", actor.ID)
}

// Watcher is somebody who looks by a share now.
type Watcher struct {
	ViewingID string
	ShareID   string
	AgencyID  string
	Name      string
	// Unit is an own officer's; empty for another agency's supervisor.
	Unit string
	// Live tells live video from a file.
	Live     bool
	OpenedAt time.Time
}

const maxWatchers = 200

// Watchers reads who looks by shares now, for those who gave them: no look is
// without a name.
func (e *Evidence) Watchers(ctx context.Context, shares []string) (map[string][]*Watcher, error) {
	var found []*Watcher
	err := e.DB.Read(ctx).Model(&Viewing{}).Joins("LEFT JOIN users ON users.id = viewings.user_id").
		Joins("LEFT JOIN staff_members ON staff_members.id = viewings.staff_member_id").
		Select("viewings.id AS viewing_id, share_id, COALESCE(users.agency_id, staff_members.agency_id) AS agency_id, "+
			"COALESCE(users.display_name, staff_members.name) AS name, COALESCE(staff_members.unit, '') AS unit, media_id = '' AS live, opened_at").
		Where("share_id IN ? AND closed_at IS NULL AND expires_at > ?", shares, e.DB.Now()).
		Order("opened_at, viewings.id").Limit(maxWatchers).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read watchers: %w", err)
	}
	byShare := make(map[string][]*Watcher, len(shares))
	for _, w := range found {
		byShare[w.ShareID] = append(byShare[w.ShareID], w)
	}
	return byShare, nil
}

// ShareOver ends every grant of a share at once, those being served too, and
// answers who watched live by it, as LOGIN/VIEWING.
func (e *Evidence) ShareOver(ctx context.Context, share string) ([]string, error) {
	e.mu.Lock()
	for _, grants := range e.grants {
		for g := range grants {
			if g.share == share {
				g.dead.Store(true)
			}
		}
	}
	e.mu.Unlock()
	var live []Viewing
	if err := e.DB.Read(ctx).Find(&live, "share_id = ? AND media_id = ? AND closed_at IS NULL", share, "").Error; err != nil {
		return nil, fmt.Errorf("read viewings of share: %w", err)
	}
	peers := make([]string, len(live))
	for i, v := range live {
		peers[i] = v.LoginID + "/" + v.ID
	}
	return peers, e.closeViewings(ctx, func(q *gorm.DB) *gorm.DB { return q.Where("share_id = ?", share) })
}

// Looks is how often one person looked at the reports of others, by reason.
type Looks struct {
	UserID   string
	Support  int
	Command  int
	Handover int
	// Sessions is at how many reports.
	Sessions int
}

const maxLooks = 5000 // rows of one report

// maxLookDays bounds one report.
const maxLookDays = 31

// LooksElsewhere counts, for the supervisor, who looked at reports that were not
// their own on the days from..to, both included, most first. BAD_INPUT.
func (e *Evidence) LooksElsewhere(ctx context.Context, agency, from, to string) ([]*Looks, error) {
	since, err := time.ParseInLocation(time.DateOnly, from, tokyo)
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	until, err := time.ParseInLocation(time.DateOnly, to, tokyo)
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	until = until.AddDate(0, 0, 1)
	if !since.Before(until) || until.After(since.AddDate(0, 0, maxLookDays)) || since.Year() < 1 || until.Year() > 9999 {
		return nil, problem.New(problem.BadInput)
	}
	var rows []struct {
		UserID    string
		SessionID string
		Reason    cases.LookReason
		N         int
	}
	err = e.DB.Read(ctx).Model(&Viewing{}).Select("user_id, session_id, reason, count(*) AS n").
		Where("agency_id = ? AND opened_at >= ? AND opened_at < ? AND reason <> ?", agency, since.UTC(), until.UTC(), "").
		Group("user_id, session_id, reason").Limit(maxLooks).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count looks: %w", err)
	}
	byUser := map[string]*Looks{}
	seen := map[string]bool{}
	for _, r := range rows {
		l := byUser[r.UserID]
		if l == nil {
			l = &Looks{UserID: r.UserID}
			byUser[r.UserID] = l
		}
		switch r.Reason {
		case cases.Support:
			l.Support += r.N
		case cases.Command:
			l.Command += r.N
		case cases.Handover:
			l.Handover += r.N
		}
		if key := r.UserID + r.SessionID; !seen[key] {
			seen[key] = true
			l.Sessions++
		}
	}
	all := slices.Collect(maps.Values(byUser))
	slices.SortFunc(all, func(a, b *Looks) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.UserID, b.UserID))
	})
	return all, nil
}
