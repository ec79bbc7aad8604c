package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
)

const own, other = "agency-a", "agency-b"

// rights is the whole table, written a second time on purpose: a change of
// rights is a change of both, in one commit.
var rights = map[policy.Role]string{
	policy.Manager: "ME.READ AGENCY.READ SETTINGS.READ SETTINGS.UPDATE USER.READ USER.MANAGE JOURNAL.READ JOURNAL.AUDIT REPORT.READ",
	policy.Supervisor: "ME.READ AGENCY.READ SETTINGS.READ USER.READ CASE.READ CASE.OPEN CASE.UPDATE " +
		"SESSION.READ SESSION.REQUEST SESSION.SEND SESSION.WATCH SESSION.ADMIT SESSION.END SESSION.ANSWER LINK.READ LINK.REVOKE NUMBER.READ " +
		"DELIVERY.READ CONSENT.READ POSITION.READ MEDIA.READ MEDIA.OPEN MEDIA.SNAPSHOT VIEWING.READ JOURNAL.READ STATISTICS.READ " +
		"DELIVERY.UPDATE",
	policy.Dispatcher: "ME.READ AGENCY.READ SETTINGS.READ USER.READ CASE.READ CASE.OPEN CASE.UPDATE " +
		"SESSION.READ SESSION.REQUEST SESSION.SEND SESSION.WATCH SESSION.ADMIT SESSION.END LINK.READ LINK.REVOKE NUMBER.READ " +
		"DELIVERY.READ CONSENT.READ POSITION.READ MEDIA.READ MEDIA.OPEN MEDIA.SNAPSHOT VIEWING.READ JOURNAL.READ",
	policy.CallerRole:     "ME.READ OWN_SESSION.READ OWN_SESSION.UPLOAD OWN_SESSION.PUBLISH",
	policy.StaffPhoneRole: "ME.READ OWN_SESSION.READ OWN_SESSION.UPLOAD OWN_SESSION.PUBLISH",
	policy.AnalystRole:    "ME.READ STATISTICS.READ",
	policy.ServiceRole:    "ME.READ CASE.OPEN",
	policy.OperatorRole:   "ME.READ",
	policy.SystemRole:     "MEDIA.PURGE",
}

// everywhere lists the rights that do not stop at the agency's border.
var everywhere = map[string]bool{"OPERATOR ME.READ": true, "SYSTEM MEDIA.PURGE": true}

func TestEveryRoleObjectAndAction(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	for _, role := range policy.Roles {
		granted := " " + rights[role] + " "
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
