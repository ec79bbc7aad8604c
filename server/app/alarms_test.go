package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/notify"
)

// 第10: what the house notices of itself stands as a fault on every console until
// a supervisor closes it: files that cannot be written, messages that nothing
// carries.
func TestAlarmsOpenOutages(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		h := openWith(t, c, &clock{}, notify.Channels{})
		supervisor, dispatcher := h.signIn(policy.Supervisor), h.signIn(policy.Dispatcher)
		parts := func() (found []string) {
			for _, x := range ask[struct {
				Outages struct {
					Nodes []struct {
						Part  string
						Alarm bool
					}
				}
			}](supervisor, `{outages(open:true){nodes{part alarm}}}`, nil).Outages.Nodes {
				require.True(t, x.Alarm)
				found = append(found, x.Part)
			}
			slices.Sort(found)
			return found
		}
		require.NoError(t, h.LookForFaults(t.Context()))
		require.Empty(t, parts(), "all is well")

		files := filepath.Join(c.Data, "files")
		require.NoError(t, os.Rename(files, files+"-away"))
		require.NoError(t, h.LookForFaults(t.Context()))
		require.NoError(t, os.Rename(files+"-away", files))
		require.Equal(t, []string{"STORAGE"}, parts())

		k := ask[struct{ OpenCase struct{ Case node } }](dispatcher, openCase, vars{"in": vars{"place": "中央一丁目"}})
		s := ask[struct{ RequestVideo struct{ Session node } }](dispatcher, requestVideo,
			vars{"in": vars{"caseID": k.OpenCase.Case.ID, "asked": "LIVE", "need": "見たい", "checks": allChecks, "number": testNumber}})
		ask[struct{}](dispatcher, confirmSend, vars{"in": vars{"sessionID": s.RequestVideo.Session.ID, "lastFour": lastFour, "idempotencyKey": uuid.NewString()}})
		eventually(t, func() string {
			if !slices.Equal(parts(), []string{"MESSAGES", "STORAGE"}) {
				return "nobody noticed that messages do not leave"
			}
			return ""
		})
		notices := ask[struct{ Notices []struct{ Kind, Ja string } }](dispatcher, `{notices{kind ja}}`, nil).Notices
		require.Len(t, notices, 2, "the dispatcher sees the sentences")
	})
}
