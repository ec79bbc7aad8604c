package cases

import (
	"genba/policy"
	"genba/server/problem"
)

// LookReason is why somebody looks at a colleague's video report (第4の2).
type LookReason string

// The reasons.
const (
	Support  LookReason = "SUPPORT"  // 応援
	Command  LookReason = "COMMAND"  // 指揮
	Handover LookReason = "HANDOVER" // 引継ぎ
)

// MayLook refuses whoever may not look at what the session brings, and answers
// the reason to record; none is needed for one's own. Commanding is a
// supervisor's office, so theirs is COMMAND unless they say otherwise; a
// dispatcher says whether they support or take over. NOT_FOUND, FORBIDDEN,
// LOOK_REASON_MISSING, MISDIRECTED.
func (s *Session) MayLook(actor policy.Actor, reason LookReason) (LookReason, error) {
	if s.AgencyID != actor.Agency {
		return "", problem.New(problem.NotFound)
	}
	supervisor := actor.Role == policy.Supervisor
	dispatcher := actor.Role == policy.Dispatcher || actor.Grant == policy.ReceptionGrant
	switch {
	case actor.ID == s.DispatcherID:
		reason = ""
	case supervisor && reason == "":
		reason = Command
	case supervisor && (reason == Support || reason == Command || reason == Handover):
	case dispatcher && (reason == Support || reason == Handover):
	case dispatcher && reason == "":
		return "", problem.New(problem.LookReasonMissing)
	default:
		return "", problem.New(problem.Forbidden)
	}
	return reason, s.StillShown(actor)
}

// StillShown refuses what hides a session from whoever was let look before: what
// came in by mistake is a supervisor's to open (第4の3(3)).
func (s *Session) StillShown(actor policy.Actor) error {
	switch {
	case s.AgencyID != actor.Agency:
		return problem.New(problem.NotFound)
	case s.Misdirected && actor.Role != policy.Supervisor:
		return problem.New(problem.Misdirected)
	}
	return nil
}
