package app_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/notify"
)

// What a person could be known by in this test; each stands nowhere else.
const (
	canaryNumber  = "080-9753-1864"
	canaryE164    = "+818097531864"
	canaryEmail   = "kanariya.7391@example.jp"
	canaryName    = "kanariya-file-7391.jpg"
	canaryPlace   = "カナリア町八丁目"
	canaryNotes   = "カナリアの覚え書き"
	canaryNeed    = "カナリアの様子"
	canaryTyped   = "kanariya-wrong-password"
	canaryDevice  = "KanariyaOS 7391"
	canaryLat     = 35.1357913
	canaryLong    = 135.2468024
	canaryLastTwo = "8641"
)

// chatty is a gateway that fails the first time, and says too much.
type chatty struct {
	postbox
	failed atomic.Bool
}

func (c *chatty) Send(ctx context.Context, m notify.Message) (string, error) {
	if !c.failed.Swap(true) {
		return "", fmt.Errorf("gateway: cannot send %q to %s", m.Body, m.To)
	}
	return c.postbox.Send(ctx, m)
}

// TestNothingPersonalIsSaid runs a report with marked facts, and failures in the
// middle of it, and looks for the marks wherever operators and strangers look
// (T01).
func TestNothingPersonalIsSaid(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		gateway := &chatty{}
		h := openWith(t, c, &clock{}, gateway)
		dispatcher := h.signIn(policy.Dispatcher)
		agency := ask[struct{ Me struct{ Agency node } }](dispatcher, `{me{agency{id}}}`, nil).Me.Agency.ID
		_, err := h.People.SetCallerCode(t.Context(), policy.SystemActor(), agency, true, "試験", nil)
		require.NoError(t, err)
		stranger := h.visitor("console")
		require.Equal(t, "SIGN_IN_FAILED", stranger.refused(signIn, vars{"in": vars{"userName": "dispatcher", "password": canaryTyped}}))

		k := ask[struct{ OpenCase struct{ Case node } }](dispatcher, openCase, vars{"in": vars{"place": canaryPlace, "notes": canaryNotes}}).OpenCase.Case
		request := vars{"caseID": k.ID, "asked": "LIVE", "need": canaryNeed, "checks": allChecks, "number": canaryNumber, "notifiedNumber": "x" + canaryNumber}
		r := &report{house: h, dispatcher: dispatcher, caseID: k.ID}
		r.id = ask[struct{ RequestVideo struct{ Session node } }](dispatcher, requestVideo, vars{"in": request}).RequestVideo.Session.ID
		require.Equal(t, "DIGITS_MISMATCH", dispatcher.refused(confirmSend, vars{"in": vars{"sessionID": r.id, "lastFour": canaryLastTwo, "idempotencyKey": "k"}}))
		bad := vars{"caseID": k.ID, "asked": "LIVE", "need": canaryNeed, "checks": allChecks, "email": canaryEmail + "\r\nBcc: x", "emailReason": canaryNotes}
		require.Equal(t, "EMAIL_INVALID", dispatcher.refused(requestVideo, vars{"in": bad}))
		require.Equal(t, "QUERY_INVALID", dispatcher.refused(`mutation($in: OpenCaseInput!){openCase(input:$in){case{id}}}`, vars{"in": vars{"plaze": canaryPlace}}))
		require.Equal(t, "QUERY_INVALID", dispatcher.refused(`{case(id: 12 name: "`+canaryPlace+`"){id}}`, nil))
		ask[struct{}](dispatcher, confirmSend, vars{"in": vars{"sessionID": r.id, "lastFour": "1864", "idempotencyKey": "k"}})
		eventually(t, func() string {
			if !gateway.failed.Load() {
				return "the gateway was not asked"
			}
			return ""
		})
		eventually(t, func() string {
			h.clock.advance(time.Second)
			h.Notify.Wake()
			if len(gateway.all()) == 0 {
				return "no message arrived"
			}
			return ""
		})
		r.secret = linkForm.FindStringSubmatch(gateway.all()[0].Body)[1]
		code := ask[struct {
			Session struct{ Link struct{ Code string } }
		}](dispatcher, `query($id: ID!){session(id:$id){link{code}}}`, vars{"id": r.id}).Session.Link.Code
		require.Len(t, code, 6)

		p := r.caller()
		p.tap()
		in := p.joining()
		require.Equal(t, "CODE_REQUIRED", p.refused(join, vars{"in": in}))
		require.Equal(t, "CODE_WRONG", p.refused(enterCode, vars{"in": vars{"secret": r.secret, "code": code + "1"}}))
		in["pass"] = ask[struct{ EnterCode struct{ Pass string } }](p.visitor, enterCode, vars{"in": vars{"secret": r.secret, "code": code}}).EnterCode.Pass
		in["system"], in["browser"] = canaryDevice, canaryDevice
		ask[struct{}](p.visitor, join, vars{"in": in})
		b := p.upload(photo(t, 120), canaryName)
		fix := vars{"latitude": canaryLat, "longitude": canaryLong, "accuracy": 5, "capturedAt": h.clock.Now().Format(time.RFC3339Nano)}
		h.hide("positions", func() {
			a := p.graphql(position, vars{"in": fix})
			require.Equal(t, "INTERNAL", a.Errors[0].Extensions.Reason)
			require.Contains(t, said.String(), a.Errors[0].Extensions.ID)
		})
		ask[struct{}](p.visitor, position, vars{"in": fix})
		h.hide("media_files", func() {
			a := p.graphql(beginUpload, vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": 99, "name": canaryName}})
			require.Equal(t, "INTERNAL", a.Errors[0].Extensions.Reason)
			require.Equal(t, http.StatusInternalServerError, h.must(http.MethodHead, "/files/"+b.ID, nil, "Authorization", "Bearer "+b.Token, "Tus-Resumable", "1.0.0").status)
		})
		h.hide("cases", func() {
			a := dispatcher.graphql(`mutation($in: UpdateCaseInput!){updateCase(input:$in){case{id}}}`, vars{"in": vars{"caseID": k.ID, "notes": canaryNotes + "2"}})
			require.Equal(t, "INTERNAL", a.Errors[0].Extensions.Reason)
		})
		require.Equal(t, "LINK_UNUSABLE", h.visitor("caller").refused(openLink, vars{"in": vars{"secret": r.secret + "x"}}))
		h.must(http.MethodGet, "/v/"+r.secret+"?s="+r.secret, nil, "Referer", h.URL()+"/v#"+r.secret)
		h.must(http.MethodGet, "/media/"+canaryName+"?grant="+r.secret, nil)
		x := p.film(film{mime: webrtc.MimeTypeH264}, footage(t, webrtc.MimeTypeH264, "320x240", 400))
		r.watched(dispatcher).sees(t, 10)
		ask[struct{}](dispatcher, `mutation($in: ReportMisdirectedInput!){reportMisdirected(input:$in){session{id}}}`, vars{"in": vars{"sessionID": r.id}})
		x.close()
		r.kept(2)
		metrics := h.must(http.MethodGet, "/metrics", nil)
		require.Equal(t, http.StatusOK, metrics.status)
		require.Contains(t, string(metrics.body), "go_goroutines")
		require.Equal(t, http.StatusNotFound, h.must(http.MethodGet, "/metrics", nil, "X-Forwarded-For", "192.0.2.1").status)
		h.close()

		sum := identity.HashToken(r.secret)
		marks := map[string]string{
			"number": canaryE164, "number as typed": canaryNumber, "number without zero": "8097531864", "address": canaryEmail, "file name": canaryName, "place": canaryPlace,
			"notes": canaryNotes, "need": canaryNeed, "password": canaryTyped, "device": canaryDevice, "latitude": "35.13579", "longitude": "135.24680",
			"secret": r.secret, "secret's hash": hex.EncodeToString(sum), "cookie": strings.SplitN(dispatcher.cookie, "=", 2)[1], "caller's cookie": strings.SplitN(p.cookie, "=", 2)[1],
			"bearer": b.Token, "pass": in["pass"].(string),
		}
		for _, u := range h.Demo().Users {
			marks["password of "+u.UserName] = u.Password
		}
		for where, text := range map[string]string{"the log": said.String(), "metrics": string(metrics.body), "refusals": h.refusals.String()} {
			require.NotEmpty(t, text, where)
			for what, mark := range marks {
				require.NotContains(t, text, mark, "%s: %s", where, what)
			}
		}
		secrets := map[string][]byte{
			"secret": []byte(r.secret), "secret in base64": []byte(base64.StdEncoding.EncodeToString([]byte(r.secret))[:28]),
			"cookie": []byte(marks["cookie"]), "caller's cookie": []byte(marks["caller's cookie"]), "file name": []byte(canaryName), "bearer": []byte(b.Token),
		}
		requireNowhere(t, c.Data, secrets)
		requireNowhere(t, c.Keys, secrets)
		if h.DB.Dialect == database.SQLite {
			var number string
			again, err := database.Open(t.Context(), c.Data+"/genba.db", h.clock)
			require.NoError(t, err)
			defer func() { require.NoError(t, again.Close()) }()
			require.NoError(t, again.Read(t.Context()).Model(&cases.Session{}).Where("id = ?", r.id).Pluck("number", &number).Error)
			require.Equal(t, canaryE164, number, "the marks were really there")
		}
	})
}

const enterCode = `mutation($in: EnterCodeInput!){enterCode(input:$in){pass}}`

// hide takes a table away while f runs.
func (h *house) hide(table string, f func()) {
	h.t.Helper()
	move := func(from, to string) {
		_, err := h.DB.SQL().ExecContext(context.Background(), "ALTER TABLE "+from+" RENAME TO "+to)
		require.NoError(h.t, err)
	}
	move(table, "hidden_"+table)
	defer move("hidden_"+table, table)
	f()
}
