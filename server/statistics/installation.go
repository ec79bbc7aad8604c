package statistics

import (
	"context"
	"fmt"
	"slices"
	"time"

	"genba/server/database"
)

// AgencyCounts is what whoever runs the installation sees of an agency: how much
// there is and whether it works. No name of a person, no case, no file.
type AgencyCounts struct {
	AgencyID string
	// People are registered and not removed; SignedIn of them are at a console.
	People, SignedIn int64
	// Terminals are enrolled; Online of them were seen within the last minute.
	Terminals, Online int64
	// Phones are officers' registered ones.
	Phones int64
	// OpenSessions are video reports that are not over; Today those that were
	// asked for since midnight in Japan. Drills are not counted.
	OpenSessions, Today int64
	// Files are kept now; Overdue of them should be gone.
	Files, Overdue int64
	// Faults are open.
	Faults int64
	// Entries stand in the journal; CheckpointAt is of the newest signed checkpoint.
	Entries      int64
	CheckpointAt *time.Time
}

// Way is one way off the machine for checkpoints; FailedAt since when it fails
// for some agency.
type Way struct {
	Name     string
	FailedAt *time.Time
}

// Installation is the counts of every agency, and how the house itself stands.
type Installation struct {
	Agencies []*AgencyCounts
	Ways     []*Way
}

const onlineWithin = time.Minute

// Installation counts, for whoever runs the installation.
func (s *Statistics) Installation(ctx context.Context, agencies []string) (*Installation, error) {
	is := &Installation{Agencies: []*AgencyCounts{}, Ways: []*Way{}}
	byID := map[string]*AgencyCounts{}
	for _, id := range agencies {
		c := &AgencyCounts{AgencyID: id}
		byID[id], is.Agencies = c, append(is.Agencies, c)
	}
	now := s.db.Now()
	today := now.In(tokyo)
	today = time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, tokyo)
	err := s.db.Snapshot(ctx, func(ctx context.Context) error {
		for _, count := range []struct {
			of   func(*AgencyCounts) *int64
			sql  string
			args []any
		}{
			{func(c *AgencyCounts) *int64 { return &c.People }, "SELECT agency_id, count(*) AS n FROM users WHERE status <> 'REMOVED' GROUP BY agency_id", nil},
			{
				func(c *AgencyCounts) *int64 { return &c.SignedIn },
				"SELECT users.agency_id, count(DISTINCT users.id) AS n FROM logins JOIN users ON users.id = logins.user_id WHERE logins.ended_at IS NULL AND logins.seen_at > ? GROUP BY users.agency_id",
				[]any{database.Instant(now.Add(-onlineWithin))},
			},
			{func(c *AgencyCounts) *int64 { return &c.Terminals }, "SELECT agency_id, count(*) AS n FROM terminals WHERE state = 'ENROLLED' GROUP BY agency_id", nil},
			{
				func(c *AgencyCounts) *int64 { return &c.Online },
				"SELECT agency_id, count(*) AS n FROM terminals WHERE state = 'ENROLLED' AND seen_at > ? GROUP BY agency_id",
				[]any{database.Instant(now.Add(-onlineWithin))},
			},
			{func(c *AgencyCounts) *int64 { return &c.Phones }, "SELECT agency_id, count(*) AS n FROM staff_links WHERE state = 'ACTIVE' GROUP BY agency_id", nil},
			{
				func(c *AgencyCounts) *int64 { return &c.OpenSessions },
				"SELECT sessions.agency_id, count(*) AS n FROM sessions JOIN cases ON cases.id = sessions.case_id WHERE NOT cases.drill AND sessions.state NOT IN ('ENDED', 'REVOKED', 'EXPIRED', 'FAILED') GROUP BY sessions.agency_id", nil,
			},
			{
				func(c *AgencyCounts) *int64 { return &c.Today },
				"SELECT sessions.agency_id, count(*) AS n FROM sessions JOIN cases ON cases.id = sessions.case_id WHERE NOT cases.drill AND sessions.requested_at >= ? GROUP BY sessions.agency_id",
				[]any{database.Instant(today)},
			},
			{func(c *AgencyCounts) *int64 { return &c.Files }, "SELECT agency_id, count(*) AS n FROM media_files GROUP BY agency_id", nil},
			{func(c *AgencyCounts) *int64 { return &c.Overdue }, "SELECT agency_id, count(*) AS n FROM media_files WHERE due_at <= ? GROUP BY agency_id", []any{database.Instant(now.Add(-onlineWithin))}},
			{func(c *AgencyCounts) *int64 { return &c.Faults }, "SELECT agency_id, count(*) AS n FROM outages WHERE closed_at IS NULL GROUP BY agency_id", nil},
			{func(c *AgencyCounts) *int64 { return &c.Entries }, "SELECT agency_id, number AS n FROM journal_heads", nil},
		} {
			var rows []struct {
				AgencyID string
				N        int64
			}
			if err := s.db.Read(ctx).Raw(count.sql, count.args...).Scan(&rows).Error; err != nil {
				return err
			}
			for _, r := range rows {
				if c := byID[r.AgencyID]; c != nil {
					*count.of(c) = r.N
				}
			}
		}
		return s.house(ctx, is, byID)
	})
	if err != nil {
		return nil, fmt.Errorf("count the installation: %w", err)
	}
	return is, nil
}

// house reads how the checkpoints stand.
func (s *Statistics) house(ctx context.Context, is *Installation, byID map[string]*AgencyCounts) error {
	var newest []struct {
		AgencyID string
		At       time.Time
	}
	err := s.db.Read(ctx).Table("journal_checkpoints").Select("agency_id", "at").
		Where("(agency_id, number) IN (SELECT agency_id, max(number) FROM journal_checkpoints GROUP BY agency_id)").Scan(&newest).Error
	if err != nil {
		return err
	}
	for _, n := range newest {
		if c := byID[n.AgencyID]; c != nil {
			c.CheckpointAt = &n.At
		}
	}
	var ways []struct {
		Way      string
		FailedAt *time.Time
	}
	if err := s.db.Read(ctx).Table("checkpoint_ways").Select("way", "failed_at").Order("way, failed_at").Scan(&ways).Error; err != nil {
		return err
	}
	for _, w := range ways {
		at := slices.IndexFunc(is.Ways, func(known *Way) bool { return known.Name == w.Way })
		if at < 0 {
			is.Ways = append(is.Ways, &Way{Name: w.Way})
			at = len(is.Ways) - 1
		}
		if w.FailedAt != nil && is.Ways[at].FailedAt == nil {
			is.Ways[at].FailedAt = w.FailedAt
		}
	}
	return nil
}
