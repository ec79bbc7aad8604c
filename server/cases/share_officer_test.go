package cases_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// privateOfficer is one whose only phone is their own.
func (c *centre) privateOfficer(t require.TestingT) *officer {
	o := &officer{phone: newPhone(t), member: c.enlist(t, "福島署", "個人")}
	_, code, err := c.rooms.IssueSheet(ctx, c.manager(), cases.NewSheet{MemberID: o.member.ID, Device: cases.PrivateDevice, Permission: privatePermission})
	require.NoError(t, err)
	o.link, err = c.register(o.phone, code)
	require.NoError(t, err)
	o.link, err = c.rooms.MatchPhone(ctx, c.manager(), o.link.ID, o.link.MatchNumber)
	require.NoError(t, err)
	c.recognise(t, o)
	return o
}

// 第4の4(2)オ: an officer's issued phone is shown what the dispatcher shares with
// that officer, for as long as it lasts; a private phone is shown nothing.
func TestSharingWithOwnOfficers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c, clock := newCentre(t, db), dbtest.ClockOf(db)
		s, _, _ := c.connected(t)
		o, other, private := c.officer(t), c.officer(t), c.privateOfficer(t)
		var over, cut []string
		c.rooms.OnShareOver(func(share string) { over = append(over, share) })
		c.rooms.OnCut(func(link string) { cut = append(cut, link) })
		give := func(actor policy.Actor, members ...string) ([]*cases.Share, error) {
			return c.rooms.ShareWithOfficers(ctx, actor, cases.OfficerShares{SessionID: s.ID, MemberIDs: members, Life: time.Hour})
		}
		shown := func(o *officer) []*cases.Share {
			list, err := c.rooms.SharesReceived(ctx, o.actor)
			require.NoError(t, err)
			return list
		}

		t.Run("by whoever has the video report, to registered officers, all or none", func(t *testing.T) {
			_, err := give(c.colleague, o.member.ID)
			refused(t, err, problem.Forbidden)
			_, err = give(c.foreigner, o.member.ID)
			refused(t, err, problem.NotFound)
			_, err = give(c.dispatcher)
			refused(t, err, problem.BadInput)
			_, err = give(c.dispatcher, identity.NewID())
			refused(t, err, problem.NotFound)
			_, err = give(c.dispatcher, o.member.ID, private.member.ID)
			refused(t, err, problem.PhoneNotIssued)
			require.Empty(t, shown(o))
			_, err = c.rooms.ShareWithOfficers(ctx, c.dispatcher, cases.OfficerShares{SessionID: s.ID, MemberIDs: []string{o.member.ID}, Life: 25 * time.Hour})
			refused(t, err, problem.BadInput)
		})
		t.Run("that officer's issued phone is shown it, and nobody else's", func(t *testing.T) {
			given, err := give(c.dispatcher, o.member.ID)
			require.NoError(t, err)
			_, err = give(c.dispatcher, o.member.ID)
			refused(t, err, problem.AlreadyExists)
			require.Len(t, c.journaled(t, s.ID, journal.ShareGiven), 1)
			require.Equal(t, given[0].ID, shown(o)[0].ID)
			_, looked, err := c.rooms.Received(ctx, o.actor, given[0].ID)
			require.NoError(t, err)
			require.Equal(t, s.ID, looked.ID)
			require.Empty(t, shown(other))
			_, _, err = c.rooms.Received(ctx, other.actor, given[0].ID)
			refused(t, err, problem.NotFound)
			_, _, err = c.rooms.Received(ctx, private.actor, given[0].ID)
			refused(t, err, problem.PhoneNotIssued)
			require.Empty(t, shown(private))
			for _, actor := range []policy.Actor{c.supervisor, c.foreigner} {
				list, err := c.rooms.SharesReceived(ctx, actor)
				require.NoError(t, err)
				require.Empty(t, list)
				_, _, err = c.rooms.Received(ctx, actor, given[0].ID)
				refused(t, err, problem.NotFound)
			}
			_, err = c.rooms.RevokeShare(ctx, c.dispatcher, given[0].ID)
			require.NoError(t, err)
			require.Equal(t, []string{given[0].ID}, over)
			require.Empty(t, shown(o))
			_, _, err = c.rooms.Received(ctx, o.actor, given[0].ID)
			refused(t, err, problem.ShareOver)
			require.Len(t, c.journaled(t, s.ID, journal.ShareEnded), 1, "one agency, one entry")
		})
		t.Run("it ends with its time", func(t *testing.T) {
			given, err := give(c.supervisor, o.member.ID, other.member.ID)
			require.NoError(t, err)
			require.Len(t, given, 2)
			require.Len(t, shown(other), 1)
			clock.Advance(time.Hour)
			require.Empty(t, shown(o))
			require.NoError(t, c.rooms.ExpireShares(ctx))
			require.ElementsMatch(t, []string{given[0].ID, given[1].ID}, over[1:])
		})
		t.Run("a phone that is suspended is cut and shown nothing", func(t *testing.T) {
			given, err := give(c.dispatcher, o.member.ID)
			require.NoError(t, err)
			_, err = c.rooms.Watching(ctx, o.link.ID)
			require.NoError(t, err)
			_, err = c.rooms.Suspend(ctx, c.supervisor, o.link.ID)
			require.NoError(t, err)
			require.Equal(t, []string{o.link.ID}, cut)
			require.Empty(t, shown(o))
			_, _, err = c.rooms.Received(ctx, o.actor, given[0].ID)
			refused(t, err, problem.StaffLinkSuspended)
			_, err = c.rooms.Watching(ctx, o.link.ID)
			refused(t, err, problem.Unauthenticated)
			_, err = c.rooms.RevokeShare(ctx, c.dispatcher, given[0].ID)
			require.NoError(t, err)
			_, err = give(c.dispatcher, o.member.ID)
			refused(t, err, problem.PhoneNotIssued)
		})
		t.Run("whom it can be shown to", func(t *testing.T) {
			list := func(containing string) (names []string) {
				found, err := c.rooms.SharableOfficers(ctx, c.agency, containing)
				require.NoError(t, err)
				for _, m := range found {
					names = append(names, m.ID)
				}
				return names
			}
			require.Equal(t, []string{other.member.ID}, list(" "))
			require.Equal(t, []string{other.member.ID}, list("canary"))
			require.Empty(t, list("個人"))
			require.Empty(t, list("%"))
		})
		t.Run("what was mis-sent is shown to nobody any more", func(t *testing.T) {
			given, err := give(c.dispatcher, other.member.ID)
			require.NoError(t, err)
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
				_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", "")
				return err
			}))
			_, _, err = c.rooms.Received(ctx, other.actor, given[0].ID)
			refused(t, err, problem.ShareOver)
			_, err = give(c.dispatcher, other.member.ID)
			refused(t, err, problem.Misdirected)
		})
	})
}
