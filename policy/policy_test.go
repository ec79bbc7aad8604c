package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
)

const own, other = "agency-a", "agency-b"

// rights is the whole table, written a second time on purpose: a change of
// rights is a change of both, in one commit.
var rights = map[policy.Role]string{
	policy.Manager: "ME.READ AGENCY.READ SETTINGS.READ SETTINGS.UPDATE USER.READ USER.MANAGE JOURNAL.READ JOURNAL.AUDIT REPORT.READ " +
		"STAFF.READ STAFF.MANAGE STAFF.REVOKE STAFF_CODE.READ STAFF_CODE.MANAGE USAGE_REPORT.READ LEAK_REPORT.READ",
	policy.Supervisor: "ME.READ AGENCY.READ SETTINGS.READ USER.READ CASE.READ CASE.OPEN CASE.UPDATE " +
		"SESSION.READ SESSION.REQUEST SESSION.SEND SESSION.WATCH SESSION.ADMIT SESSION.END SESSION.ANSWER LINK.READ LINK.REVOKE NUMBER.READ " +
		"DELIVERY.READ CONSENT.READ POSITION.READ MEDIA.READ MEDIA.OPEN MEDIA.SNAPSHOT VIEWING.READ JOURNAL.READ STATISTICS.READ " +
		"DELIVERY.UPDATE " +
		"STAFF.READ STAFF.SUSPEND STAFF_CODE.READ STAFF_CODE.MANAGE USAGE_REPORT.READ USAGE_REPORT.OPEN USAGE_REPORT.ANSWER LEAK_REPORT.READ LEAK_REPORT.OPEN LEAK_REPORT.ANSWER",
	policy.Dispatcher: "ME.READ AGENCY.READ SETTINGS.READ USER.READ CASE.READ CASE.OPEN CASE.UPDATE " +
		"SESSION.READ SESSION.REQUEST SESSION.SEND SESSION.WATCH SESSION.ADMIT SESSION.END LINK.READ LINK.REVOKE NUMBER.READ " +
		"DELIVERY.READ CONSENT.READ POSITION.READ MEDIA.READ MEDIA.OPEN MEDIA.SNAPSHOT VIEWING.READ JOURNAL.READ " +
		"STAFF.READ STAFF_CODE.READ USAGE_REPORT.READ USAGE_REPORT.OPEN LEAK_REPORT.OPEN",
	policy.CallerRole:     "ME.READ OWN_SESSION.READ OWN_SESSION.UPLOAD OWN_SESSION.PUBLISH",
	policy.StaffPhoneRole: "ME.READ OWN_SESSION.READ OWN_SESSION.UPLOAD OWN_SESSION.PUBLISH OWN_SESSION.OPEN OWN_SESSION.END OWN_PHONE.READ OWN_PHONE.UPDATE",
	policy.AnalystRole:    "ME.READ STATISTICS.READ",
	policy.ServiceRole:    "ME.READ CASE.OPEN",
	policy.OperatorRole:   "ME.READ INSTALLATION.READ OWN_TERMINAL.READ LOGIN.UPDATE MAINTENANCE.READ MAINTENANCE.MANAGE",
	policy.SystemRole:     "MEDIA.PURGE",
}

// deskRights are the rights around terminals, written a second time like the rest.
var deskRights = map[policy.Role]string{
	policy.Manager:    "TERMINAL.READ TERMINAL.MANAGE OWN_TERMINAL.READ RECEPTION.READ RECEPTION.MANAGE",
	policy.Supervisor: "TERMINAL.READ TERMINAL.UPDATE TERMINAL.SUSPEND TERMINAL.OPERATE OWN_TERMINAL.READ",
	policy.Dispatcher: "TERMINAL.OPERATE OWN_TERMINAL.READ",
}

// bound are the rights that go on some kinds of terminal only.
var bound = map[string][]policy.Desk{
	"SESSION.WATCH":   {policy.Tablet, policy.Notebook},
	"STATISTICS.READ": {policy.Notebook},
	"EXPORT.WRITE":    {policy.Notebook},
}

func init() { // signing in, and staying so (第7, 第8)
	rights[policy.Manager] += " LOGIN.UPDATE LOGIN.OPEN LOGIN.MANAGE"
	rights[policy.Supervisor] += " LOGIN.UPDATE LOGIN.OPEN NUMBER.OPEN"
	rights[policy.Dispatcher] += " LOGIN.UPDATE LOGIN.OPEN NUMBER.OPEN"
	rights[policy.LockedRole] = "ME.READ LOGIN.OPEN"
}

// exports is who may do what to exports and deputies (第6の5).
var exports = map[policy.Role]string{
	policy.Manager:    "EXPORT.READ EXPORT.APPROVE EXPORT.UPDATE DEPUTY.READ DEPUTY.MANAGE",
	policy.Supervisor: "EXPORT.READ EXPORT.REQUEST EXPORT.APPROVE EXPORT.WRITE EXPORT.UPDATE DEPUTY.READ",
	policy.Dispatcher: "EXPORT.READ EXPORT.REQUEST EXPORT.WRITE EXPORT.UPDATE",
}

func init() {
	for role, more := range map[policy.Role]string{
		policy.Supervisor: "SESSION.COMMAND SESSION.HAND_OVER VIEWING.AUDIT DUTY_LOG.READ DUTY_LOG.UPDATE SHARE.READ SHARE.OPEN SHARE.REVOKE SHARE.WATCH",
		policy.Dispatcher: "SESSION.HAND_OVER SHARE.READ SHARE.REVOKE",
		policy.Manager:    "VIEWING.AUDIT DUTY_LOG.READ",
	} {
		rights[role] += " " + more
	}
}

func init() { // own officers are shown what a dispatcher shares
	rights[policy.Supervisor] += " SHARE.SEND SHARE.OPERATE"
	rights[policy.Dispatcher] += " SHARE.SEND"
	rights[policy.StaffPhoneRole] += " SHARE.WATCH SHARE.OPERATE"
	bound["SHARE.OPERATE"] = []policy.Desk{policy.Tablet, policy.Notebook}
}

func init() { // running the system (第4の5, 第10, 第11)
	for role, more := range map[policy.Role]string{
		policy.Manager: "MAINTENANCE.READ MAINTENANCE.MANAGE OUTAGE.READ CONTACT.READ CONTACT.UPDATE CONTACT.MANAGE " +
			"TRAINING.READ TRAINING.MANAGE DRILL.READ DRILL.MANAGE",
		policy.Supervisor: "MAINTENANCE.READ OUTAGE.READ OUTAGE.OPEN OUTAGE.UPDATE CONTACT.READ CONTACT.UPDATE DRILL.READ DRILL.OPEN DRILL.END",
		policy.Dispatcher: "MAINTENANCE.READ DRILL.READ",
	} {
		rights[role] += " " + more
	}
}

// everywhere lists the rights that do not stop at the agency's border.
var everywhere = map[string]bool{
	"OPERATOR ME.READ": true, "SYSTEM MEDIA.PURGE": true, "OPERATOR INSTALLATION.READ": true, "OPERATOR OWN_TERMINAL.READ": true,
	"OPERATOR MAINTENANCE.READ": true, "OPERATOR LOGIN.UPDATE": true, "OPERATOR MAINTENANCE.MANAGE": true,
}

func TestEveryRoleObjectAndAction(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	for _, role := range policy.Roles {
		granted := " " + rights[role] + " " + deskRights[role] + " " + exports[role] + " "
		for _, o := range policy.Objects {
			for _, act := range policy.Actions {
				right := string(o) + "." + string(act)
				want := strings.Contains(granted, " "+right+" ")
				home := policy.Actor{Role: role, Agency: own}
				require.Equal(t, want, p.Can(home, own, o, act), "%s %s in the own agency", role, right)
				require.Equal(t, want && everywhere[string(role)+" "+right], p.Can(home, other, o, act), "%s %s elsewhere", role, right)
			}
		}
	}
}

func TestNobodyMayDoNothing(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	for _, o := range policy.Objects {
		for _, act := range policy.Actions {
			require.False(t, p.Can(policy.Actor{Kind: policy.Nobody}, "", o, act))
			require.False(t, p.Can(policy.Actor{Kind: policy.User, Role: "ROOT", Agency: own}, own, o, act))
			require.False(t, p.Can(policy.Actor{Kind: policy.User, Role: policy.Supervisor}, "", o, act) && o != policy.Me)
		}
	}
}

// A person has a bound right on those kinds of terminal alone (第5の2, 第9), every
// other right on each, and none without a terminal (第4の6).
func TestRightsGoWhereTheTerminalIs(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	for _, role := range []policy.Role{policy.Manager, policy.Supervisor, policy.Dispatcher} {
		for _, o := range policy.Objects {
			for _, act := range policy.Actions {
				may := p.Can(policy.Actor{Role: role, Agency: own}, own, o, act)
				for _, desk := range append(slices.Clone(policy.Desks), "", "ROUTER") {
					known := slices.Contains(policy.Desks, desk)
					kinds, narrow := bound[string(o)+"."+string(act)]
					want := may && known && (!narrow || slices.Contains(kinds, desk))
					a := policy.Actor{Kind: policy.User, Role: role, Agency: own, Desk: desk}
					require.Equal(t, want, p.Can(a, own, o, act), "%s %s.%s at %q", role, o, act, desk)
				}
			}
		}
	}
}

// A grant carries the dispatcher's rights and nothing more (第5の2), and the
// terminal still counts.
func TestReceptionCarriesTheDispatchersRights(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	for _, desk := range policy.Desks {
		for _, o := range policy.Objects {
			for _, act := range policy.Actions {
				manager := policy.Actor{Kind: policy.User, Role: policy.Manager, Agency: own, Desk: desk}
				dispatcher := policy.Actor{Kind: policy.User, Role: policy.Dispatcher, Agency: own, Desk: desk}
				granted := manager
				granted.Grant = policy.ReceptionGrant
				require.Equal(t, p.Can(manager, own, o, act) || p.Can(dispatcher, own, o, act), p.Can(granted, own, o, act), "%s.%s at %s", o, act, desk)
				require.False(t, p.Can(granted, other, o, act), "%s.%s elsewhere", o, act)
				granted.Grant = "DISPATCHER"
				require.Equal(t, p.Can(manager, own, o, act), p.Can(granted, own, o, act), "a grant that is no grant: %s.%s", o, act)
			}
		}
	}
}
