package evidence_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/evidence"
)

// T11: a download that is under way ends with the sign-in that it runs under:
// suspending the person cuts it in the middle.
func TestT11SuspendingCutsARunningDownload(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		s.identity.OnCut(func(logins []string) { // as the server wires it
			for _, login := range logins {
				if err := s.LoginRevoked(s.ctx(), login); err != nil {
					t.Error(err)
				}
			}
		})
		const size = 48 << 20 // more than all buffers between here and there hold
		video := s.uploadVideo(mp4Of("isom", size))
		o, err := s.Open(s.ctx(), s.dispatcher, video.ID, evidence.Look{})
		require.NoError(t, err)
		url := s.server.URL + evidence.MediaPath + video.ID + "?grant=" + o.Grant
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		_, err = io.ReadFull(answer.Body, make([]byte, 64<<10))
		require.NoError(t, err)

		_, err = s.identity.Suspend(s.ctx(), manager, s.dispatcher.ID, "異動")
		require.NoError(t, err)
		rest, err := io.Copy(io.Discard, answer.Body)
		require.Error(t, err, "it is cut")
		require.Less(t, rest, int64(size)/2)
		again, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, again.Body.Close())
		require.Equal(t, http.StatusForbidden, again.StatusCode)
	})
}
