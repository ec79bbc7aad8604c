package evidence_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// neighbour signs a supervisor of another agency in.
func (s *scene) neighbour() policy.Actor {
	s.t.Helper()
	a, err := s.identity.CreateAgency(s.ctx(), identity.NewAgency{Code: "miyagi", NameJa: "宮城県警察", NameEn: "Miyagi Police"})
	require.NoError(s.t, err)
	_, err = s.identity.Register(s.ctx(), policy.SystemActor(), a.ID, identity.NewUser{
		UserName: "ito", DisplayName: "伊藤", Role: policy.Supervisor, Password: password, PasswordReason: "test",
	})
	require.NoError(s.t, err)
	_, actor, err := s.identity.SignIn(s.ctx(), "miyagi", "ito", password)
	require.NoError(s.t, err)
	return actor
}

func (s *scene) share(to policy.Actor) *cases.Share {
	s.t.Helper()
	share, err := s.cases.Share(s.ctx(), s.supervisor, cases.NewShare{
		SessionID: s.session.ID, AgencyID: to.Agency, Purpose: cases.ShareByLaw, Ground: "canary-ground", Life: time.Hour,
	})
	require.NoError(s.t, err)
	return share
}

// T07, T10: a look by a share is on record in both agencies, lasts no longer
// than the share, and never beyond the giver's due time.
func TestLookingByAShare(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		video, theirs := s.uploadVideo(mp4Of("isom", 1000)), s.neighbour()
		share := s.share(theirs)
		_, err := s.Open(s.ctx(), theirs, video.ID, evidence.Look{})
		requireProblem(t, err, problem.NotFound)
		o, err := s.OpenShared(s.ctx(), theirs, share.ID, video.ID)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, s.media(video.ID, o.Grant, "").status)

		watchers, err := s.Watchers(s.ctx(), []string{share.ID})
		require.NoError(t, err)
		require.Equal(t, "伊藤", watchers[share.ID][0].Name)
		for agency, typ := range map[string]journal.Type{s.agency.ID: journal.ViewingOpened, theirs.Agency: journal.ShareViewed} {
			rows, err := s.journal.After(s.ctx(), agency, 0, journal.Filter{Types: []journal.Type{typ}}, 10)
			require.NoError(t, err)
			require.Len(t, rows, 1)
			require.Equal(t, theirs.ID, rows[0].ActorID)
			require.NotContains(t, string(rows[0].Payload), "canary-ground")
			if agency == theirs.Agency {
				require.Empty(t, rows[0].SessionID+rows[0].CaseID)
				require.False(t, strings.Contains(string(rows[0].Payload), s.session.ID) || strings.Contains(string(rows[0].Payload), video.ID))
			}
		}
		_, err = s.BeginSnapshot(s.ctx(), theirs, s.session.ID, []string{video.ID}, 10)
		requireProblem(t, err, problem.NotFound)

		live, err := s.ViewShared(s.ctx(), theirs, share.ID, identity.GrantLife)
		require.NoError(t, err)
		looked, err := s.Looked(s.ctx(), theirs, live.ID)
		require.NoError(t, err)
		require.Equal(t, s.session.ID, looked.ID)
		require.NoError(t, s.KeepViewing(s.ctx(), theirs, live.ID, identity.GrantLife))

		_, err = s.cases.RevokeShare(s.ctx(), s.supervisor, share.ID)
		require.NoError(t, err)
		require.Equal(t, string(problem.ShareOver), s.media(video.ID, o.Grant, "").reason, "at once, before anything else is told")
		requireProblem(t, s.KeepViewing(s.ctx(), theirs, live.ID, identity.GrantLife), problem.GrantInvalid)
		_, err = s.Looked(s.ctx(), theirs, live.ID)
		requireProblem(t, err, problem.ShareOver)
		peers, err := s.ShareOver(s.ctx(), share.ID)
		require.NoError(t, err)
		require.Equal(t, []string{theirs.Login + "/" + live.ID}, peers)
		require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, o.Grant, "").reason)
		watchers, err = s.Watchers(s.ctx(), []string{share.ID})
		require.NoError(t, err)
		require.Empty(t, watchers)

		again := s.share(theirs)
		dbtest.ClockOf(s.db).Advance(time.Hour)
		_, err = s.OpenShared(s.ctx(), theirs, again.ID, video.ID)
		requireProblem(t, err, problem.ShareOver)
	})
}

// 第6の3(1), 第4の2: why somebody looks is checked before anything is shown.
func TestWhySomebodyLooks(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		video, colleague := s.uploadVideo(mp4Of("isom", 1000)), s.signIn("honda", policy.Dispatcher)
		_, err := s.Open(s.ctx(), colleague, video.ID, evidence.Look{})
		requireProblem(t, err, problem.LookReasonMissing)
		o, err := s.Open(s.ctx(), colleague, video.ID, evidence.Look{Reason: cases.Handover})
		require.NoError(t, err)
		require.Equal(t, cases.Handover, o.Viewing.Reason)
		require.Equal(t, http.StatusOK, s.media(video.ID, o.Grant, "").status)
		_, err = s.BeginSnapshot(s.ctx(), colleague, s.session.ID, []string{video.ID}, 10)
		requireProblem(t, err, problem.Forbidden)

		_, err = s.Open(s.ctx(), s.dispatcher, video.ID, evidence.Look{Purpose: evidence.ByLaw, Law: "刑事訴訟法", Document: " "})
		requireProblem(t, err, problem.LawMissing)
		_, err = s.Open(s.ctx(), s.dispatcher, video.ID, evidence.Look{Purpose: evidence.ByLaw, Law: strings.Repeat("法", 201), Document: "1"})
		requireProblem(t, err, problem.BadInput)
		_, err = s.Open(s.ctx(), s.dispatcher, video.ID, evidence.Look{Purpose: evidence.ByLaw, Law: "刑事訴訟法", Document: "福捜1"})
		require.NoError(t, err)
		rows := s.entries(journal.ViewingOpened)
		require.Contains(t, string(rows[len(rows)-1].Payload), `"document":"福捜1"`)

		o, err = s.Open(s.ctx(), colleague, video.ID, evidence.Look{Reason: cases.Support})
		require.NoError(t, err)
		_, err = s.cases.HandOver(s.ctx(), s.dispatcher, cases.HandOver{To: colleague.ID, Sessions: []string{s.session.ID}})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, s.media(video.ID, o.Grant, "").status, "handing over interrupts nobody")
		day := s.db.Now().Add(9 * time.Hour).Format(time.DateOnly)
		looks, err := s.LooksElsewhere(s.ctx(), s.agency.ID, day, day)
		require.NoError(t, err)
		require.Equal(t, []*evidence.Looks{{UserID: colleague.ID, Support: 1, Handover: 1, Sessions: 1}}, looks)
		_, err = s.LooksElsewhere(s.ctx(), s.agency.ID, "2026-01-01", "2026-03-01")
		requireProblem(t, err, problem.BadInput)
	})
}
