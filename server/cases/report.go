package cases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// ReportState says what became of the report to the supervisor (第4の1(1)).
type ReportState string

// The states: nothing was reported, it waits for a supervisor, a supervisor
// took note of it, or stopped the request.
const (
	NoReport           ReportState = ""
	ReportWaiting      ReportState = "WAITING"
	ReportAcknowledged ReportState = "ACKNOWLEDGED"
	ReportStopped      ReportState = "STOPPED"
)

// AdvanceReport is the report of one request to the supervisor (第4の1(1)).
type AdvanceReport struct {
	State ReportState
	// Late: there was no time before; LateReason says why.
	Late       bool
	LateReason string
	// ReportedAt is when the supervisor was told; nil while a late report is owed.
	ReportedAt *time.Time
	AnsweredAt *time.Time
	AnsweredBy string
	// Reason is why it was stopped.
	Reason string
}

// AdvanceReport is the session's report, or nil where there is none.
func (s *Session) AdvanceReport() *AdvanceReport {
	if s.Report == NoReport {
		return nil
	}
	return &AdvanceReport{
		State: s.Report, Late: s.LateReason != "", LateReason: s.LateReason, ReportedAt: s.ReportedAt,
		AnsweredAt: s.ReportAnsweredAt, AnsweredBy: s.ReportAnsweredBy, Reason: s.ReportReason,
	}
}

// file makes the report that the checks speak of. A supervisor's own request
// needs nobody else's notice.
func (s *Session) file(actor policy.Actor, now time.Time) {
	told := s.Checks.SupervisorTold
	if told && s.ReportedAt == nil {
		s.ReportedAt = &now
	}
	if s.Report != NoReport || !told && s.LateReason == "" {
		return
	}
	s.Report = ReportWaiting
	if actor.Role == policy.Supervisor {
		s.Report, s.ReportAnsweredAt, s.ReportAnsweredBy = ReportAcknowledged, &now, actor.ID
		if s.ReportedAt == nil {
			s.ReportedAt = &now
		}
	}
}

// AcknowledgeReport notes that a supervisor took note of a report (第4の1(1)),
// in time or late: a late one is made with it. CONFLICT once it was stopped,
// SESSION_NOT_OPEN where nothing was reported.
func (c *Cases) AcknowledgeReport(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		switch s.Report {
		case ReportAcknowledged:
			return nil
		case ReportStopped:
			return problem.New(problem.Conflict)
		case NoReport:
			return problem.New(problem.SessionNotOpen)
		}
		s.Report, s.ReportAnsweredAt, s.ReportAnsweredBy = ReportAcknowledged, &tx.Now, actor.ID
		if s.ReportedAt == nil {
			s.ReportedAt = &tx.Now
		}
		c.journal.Append(tx, s.entry(actor, journal.ReportAcknowledged, map[string]any{"late": s.LateReason != ""}))
		return c.save(tx, s)
	})
}

// StopReport forbids a caller's video report, with the reason (第4の1(1), 第4の2):
// before the link it is never sent, afterwards the link dies and what comes in
// is cut. It may be done for as long as the video report is open, also where it
// was acknowledged before. REASON_MISSING, SESSION_ENDED.
func (c *Cases) StopReport(ctx context.Context, actor policy.Actor, id, reason string) (*Session, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(reason, maxReason) {
		return nil, problem.New(problem.BadInput)
	}
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		switch {
		case s.Report == ReportStopped:
			return nil
		case s.State.Over():
			return problem.New(problem.SessionEnded)
		case s.Kind != CallerSession:
			return problem.New(problem.SessionNotOpen)
		}
		s.Report, s.ReportAnsweredAt, s.ReportAnsweredBy, s.ReportReason = ReportStopped, &tx.Now, actor.ID, reason
		s.EndedBy = actor.ID
		if s.ReportedAt == nil {
			s.ReportedAt = &tx.Now
		}
		stopped := s.entry(actor, journal.ReportStopped, map[string]any{"reason": reason, "sent": s.LinkSentAt != nil})
		if s.LinkSentAt == nil {
			return c.finish(tx, s, Failed, LinkRevoked, stopped)
		}
		c.journal.Append(tx, s.entry(actor, journal.LinkRevoked, map[string]any{"stopped": true}))
		return c.finish(tx, s, Revoked, LinkRevoked, stopped)
	})
}

// ReportLate notes that the supervisor has now been told of a request that could
// not wait (第4の1(1), 後報); it may be done after the end, too. Telling twice
// keeps the first time. SESSION_NOT_OPEN where no late report is owed.
func (c *Cases) ReportLate(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		if s.Report == NoReport {
			return problem.New(problem.SessionNotOpen)
		}
		if s.ReportedAt != nil {
			return nil
		}
		s.ReportedAt = &tx.Now
		c.journal.Append(tx, s.entry(actor, journal.AdvanceReported, map[string]any{"before": false, "late": true}))
		return c.save(tx, s)
	})
}

// WaitingReports counts the reports of an agency that wait for a supervisor.
func (c *Cases) WaitingReports(ctx context.Context, agency string) (int64, error) {
	var n int64
	if err := c.db.Read(ctx).Model(&Session{}).Where("agency_id = ? AND report = ?", agency, ReportWaiting).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count waiting reports: %w", err)
	}
	return n, nil
}
