package app_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/notify"
)

// 第4の1(2), T12: the whole way of a message and of the gateway's word on it, to
// the dispatcher's open page.
func TestGatewayTellsTheDispatcher(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		var mu sync.Mutex
		var taken []map[string]string
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var m map[string]string
			if json.NewDecoder(r.Body).Decode(&m) == nil {
				mu.Lock()
				taken = append(taken, m)
				mu.Unlock()
			}
			_, _ = io.WriteString(w, `{}`)
		}))
		t.Cleanup(gateway.Close)
		folder := t.TempDir()
		secret := filepath.Join(folder, "secret")
		require.NoError(t, os.WriteFile(secret, []byte("canary-callback-secret\n"), 0o600))
		file := filepath.Join(folder, "gateway.toml")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
method = "POST"
url = %q
body = '{"key": {{json .Key}}, "to": {{json .To}}, "text": {{json .Body}}, "callback": {{json .Callback}}}'
headers = { Content-Type = "application/json" }
secrets = { callback = %q }
[callback]
signature = "hmac-sha256"
secret = "callback"
header = "X-Signature"
key = "key"
status = "status"
delivered = ["ok"]
failed = ["lost"]
`, gateway.URL, secret), 0o600))
		var h *house
		g, err := notify.OpenGateway(file, func() string { return h.URL() + notify.CallbackPath })
		require.NoError(t, err)
		h = openWith(t, c, &clock{}, notify.Channels{SMS: g})
		dispatcher := h.signIn(policy.Dispatcher)
		k := ask[struct{ OpenCase struct{ Case node } }](dispatcher, openCase, vars{"in": vars{"place": "中央一丁目"}})
		s := ask[struct{ RequestVideo struct{ Session node } }](dispatcher, requestVideo,
			vars{"in": vars{"caseID": k.OpenCase.Case.ID, "asked": "LIVE", "need": "見たい", "checks": allChecks, "number": testNumber}})
		session := s.RequestVideo.Session.ID
		seen := make(chan string, 100)
		ctx, cut := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_ = overSocket(ctx, dispatcher, operation(`subscription($id: ID!){sessionChanged(id:$id){session{stall deliveries{status failure}}}}`, vars{"id": session}), func(a graphqlAnswer) {
				seen <- string(a.Data)
			})
		}()
		t.Cleanup(func() { cut(); <-gone })
		ask[struct{}](dispatcher, confirmSend, vars{"in": vars{"sessionID": session, "lastFour": lastFour, "idempotencyKey": "a"}})
		var message map[string]string
		eventually(t, func() string {
			mu.Lock()
			defer mu.Unlock()
			if len(taken) == 0 {
				return "the gateway was not asked"
			}
			message = taken[0]
			return ""
		})
		require.Equal(t, testE164, message["to"])
		require.Contains(t, message["text"], h.URL()+"/v#")
		require.Equal(t, h.URL()+"/callbacks/sms?key="+message["key"], message["callback"])

		call := func(status, by string) int {
			body := `{"key":"` + message["key"] + `","status":"` + status + `"}`
			mac := hmac.New(sha256.New, []byte(by))
			mac.Write([]byte(body))
			return h.must(http.MethodPost, "/callbacks/sms", []byte(body), "Content-Type", "application/json", "X-Signature", hex.EncodeToString(mac.Sum(nil))).status
		}
		await := func(what string) {
			eventually(t, func() string {
				select {
				case event := <-seen:
					if strings.Contains(event, what) {
						return ""
					}
				default:
				}
				return "the dispatcher did not see " + what
			})
		}
		await(`"status":"SENT"`)
		require.Equal(t, http.StatusForbidden, call("lost", "guessed"))
		require.Equal(t, http.StatusNoContent, call("lost", "canary-callback-secret"))
		await(`"stall":"SMS_UNDELIVERED","deliveries":[{"status":"FAILED","failure":"UNDELIVERED"}]`)
		require.Equal(t, http.StatusNoContent, call("ok", "canary-callback-secret"))
		await(`"stall":null,"deliveries":[{"status":"DELIVERED","failure":""}]`)
		require.Equal(t, http.StatusNoContent, call("lost", "canary-callback-secret"), "an old word changes nothing")
		metrics := string(h.must(http.MethodGet, "/metrics", nil).body)
		for what, n := range map[string]int{"taken": 2, "repeated": 1, "refused": 1, "unknown": 0} {
			require.Contains(t, metrics, fmt.Sprintf(`genba_sms_callbacks_total{result=%q} %d`, what, n))
		}
		require.NotContains(t, said.String(), "canary-callback-secret", "nothing says the secret")
	})
}
