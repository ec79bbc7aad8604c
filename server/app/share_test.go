package app_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/identity"
)

// neighbour is a supervisor of another agency at their console.
func (h *house) neighbour(code string) (*visitor, string) {
	h.t.Helper()
	a, err := h.People.CreateAgency(context.Background(), identity.NewAgency{Code: code, NameJa: "宮城県警察", NameEn: "Miyagi Police"})
	require.NoError(h.t, err)
	const password = "correct horse battery"
	_, err = h.People.Register(context.Background(), policy.SystemActor(), a.ID, identity.NewUser{
		UserName: "ito", DisplayName: "伊藤", Role: policy.Supervisor, Password: password, PasswordReason: "test",
	})
	require.NoError(h.t, err)
	return h.signInAs(code, "ito", password), a.ID
}

// A share shows live video to the other agency's supervisor, and is dark within
// a second of its end, however it ends.
func TestASharedLiveVideoEndsWithItsShare(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signInAs(h.Demo().Agency, "dispatcher", h.Demo().Users[2].Password)
	supervisor := h.signInAs(h.Demo().Agency, "supervisor", h.Demo().Users[1].Password)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)
	theirs, agency := h.neighbour("miyagi")
	r := h.reported(dispatcher)
	r.answered().film(film{mime: webrtc.MimeTypeH264}, clip)
	give := func(t *testing.T) (string, *screen) {
		t.Helper()
		given := ask[struct {
			ShareSession struct{ Share node }
		}](supervisor.in(t), `mutation($in: ShareSessionInput!){shareSession(input:$in){share{id}}}`, vars{"in": vars{
			"sessionID": r.id, "agencyID": agency, "purpose": "INITIAL_RESPONSE", "ground": "県境での追跡", "minutes": 10,
		}})
		id := given.ShareSession.Share.ID
		require.Equal(t, "NOT_FOUND", theirs.in(t).refused(watch, vars{"in": vars{"sessionID": r.id}}), "by the share alone")
		b := ask[struct{ WatchShare bearer }](theirs.in(t), `mutation($in: WatchShareInput!){watchShare(input:$in){url token}}`, vars{"in": vars{"shareID": id}}).WatchShare
		s, a, err := h.in(t).newScreen(b)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, a.status)
		t.Cleanup(s.close)
		s.sees(t, 30)
		return id, s
	}

	t.Run("revoked", func(t *testing.T) {
		id, s := give(t)
		ask[struct{}](dispatcher.in(t), `mutation($in: RevokeShareInput!){revokeShare(input:$in){share{ending}}}`, vars{"in": vars{"shareID": id}})
		s.requireDark(t, time.Now())
		require.Equal(t, "SHARE_OVER", theirs.in(t).refused(`mutation($in: WatchShareInput!){watchShare(input:$in){url}}`, vars{"in": vars{"shareID": id}}))
	})
	t.Run("its time is over", func(t *testing.T) {
		_, s := give(t)
		h.clock.advance(10 * time.Minute)
		s.requireDark(t, time.Now().Add(time.Second))
	})
}
