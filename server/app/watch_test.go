package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
)

func TestLooksAtLiveVideo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)

	t.Run("a bearer opens nothing once its viewing is closed", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		r.answered().film(film{mime: webrtc.MimeTypeH264}, clip)
		b := r.watch(dispatcher)
		looking := func() bool {
			all := r.session("viewings{nodes{id closedAt}}").Viewings.Nodes
			require.Len(t, all, 1)
			return all[0].ClosedAt == ""
		}
		var screens []*screen
		for range 2 {
			s, a, err := h.newScreen(b)
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, a.status)
			t.Cleanup(s.close)
			s.sees(t, 30)
			screens = append(screens, s)
		}
		screens[0].close()
		screens[1].sees(t, 6*pictureRate)
		require.True(t, looking(), "whoever looks over another connection still looks")
		screens[1].close()
		eventually(t, func() string {
			if looking() {
				return "the viewing is still open"
			}
			return ""
		})
		_, a, err := h.newScreen(b)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.Equal(t, "BEARER_INVALID", a.reason())
		r.end()
	})
	t.Run("whose shift is over sees nothing more", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		r.answered().film(film{mime: webrtc.MimeTypeH264}, clip)
		s := r.watched(dispatcher)
		s.sees(t, 30)
		h.clock.advance(12*time.Hour + time.Second)
		s.requireDark(t, time.Now().Add(time.Second)) // everybody is asked again every second
	})
}
