package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/drill"
	"genba/server/operations"
)

// exercise is a drill with one played caller.
type exercise struct {
	*house
	supervisor, dispatcher *visitor
	id, caller, number     string
	of                     *report
}

const startDrill = `mutation($in: StartDrillInput!){startDrill(input:$in){drill{id callers{id number state case{id}}}}}`

func (h *house) exercise(failures ...string) *exercise {
	h.t.Helper()
	x := &exercise{house: h, supervisor: h.signIn(policy.Supervisor), dispatcher: h.signIn(policy.Dispatcher)}
	d := ask[struct {
		StartDrill struct {
			Drill struct {
				ID      string
				Callers []struct {
					ID, Number string
					Case       node
				}
			}
		}
	}](x.supervisor, startDrill, vars{"in": vars{"title": "月例訓練", "callers": []any{vars{"script": "TRAFFIC", "failures": failures}}}}).StartDrill.Drill
	x.id, x.caller, x.number = d.ID, d.Callers[0].ID, d.Callers[0].Number
	x.of = &report{house: h, dispatcher: x.dispatcher, caseID: d.Callers[0].Case.ID}
	return x
}

// send asks the played caller for something and sends the link.
func (x *exercise) send(mode string) {
	x.t.Helper()
	s := ask[struct{ RequestVideo struct{ Session node } }](x.dispatcher, requestVideo,
		vars{"in": vars{"caseID": x.of.caseID, "asked": mode, "need": "訓練", "checks": allChecks, "number": x.number}})
	x.of.id = s.RequestVideo.Session.ID
	ask[struct{}](x.dispatcher, confirmSend, vars{"in": vars{"sessionID": x.of.id, "lastFour": x.number[len(x.number)-4:], "idempotencyKey": "a"}})
}

func (x *exercise) until(what, fields string, is func(s sessionView) bool) {
	x.t.Helper()
	eventually(x.t, func() string {
		s := x.of.session(fields)
		if is(s) {
			return ""
		}
		return fmt.Sprintf("%s: %+v", what, s)
	})
}

func (x *exercise) state() string {
	x.t.Helper()
	return ask[struct {
		Drills struct {
			Nodes []struct{ Callers []struct{ State string } }
		}
	}](x.supervisor, `{drills(first:1){nodes{callers{state}}}}`, nil).Drills.Nodes[0].Callers[0].State
}

// 第11: a caller whom the server plays comes by the same doors as any other, its
// message goes nowhere else, it gives way to a real call, and it counts nowhere.
func TestDrillIsPlayedAndYieldsToARealCall(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		post := &postbox{}
		h := openWith(t, c, &clock{}, post, app.WithHurriedCallers())
		h.post = post
		x := h.exercise()
		require.Equal(t, "DRILL_NUMBER", x.dispatcher.refused(requestVideo,
			vars{"in": vars{"caseID": x.of.caseID, "asked": "LIVE", "need": "訓練", "checks": allChecks, "number": testNumber}}))
		require.Equal(t, "DRILL_RUNNING", x.supervisor.refused(startDrill, vars{"in": vars{"title": "もう一つ"}}))

		x.send("LIVE")
		x.until("the caller shows live video and where they are", "state live counts{recordings positions}", func(s sessionView) bool {
			return s.Live && s.State == "CONNECTED" && s.Counts.Positions > 0
		})
		require.Equal(t, "PLAYING", x.state())

		ask[struct{}](x.dispatcher, openCase, vars{"in": vars{"place": "本当の通報"}})
		require.Equal(t, "PAUSED", x.state(), "a real call goes first")
		x.until("the caller falls silent", "live", func(s sessionView) bool { return !s.Live })
		ask[struct{}](x.supervisor, `mutation($in: ResumeDrillCallerInput!){resumeDrillCaller(input:$in){drill{id}}}`, vars{"in": vars{"callerID": x.caller}})
		x.until("the caller goes on", "live", func(s sessionView) bool { return s.Live })

		ask[struct{}](x.dispatcher, `mutation($in: AskModeInput!){askMode(input:$in){session{id}}}`, vars{"in": vars{"sessionID": x.of.id, "mode": "PHOTO"}})
		x.until("a photo arrives", "counts{photosNow}", func(s sessionView) bool { return s.Counts.PhotosNow == 1 })
		require.Empty(t, post.all(), "the message never leaves")

		ask[struct{}](x.supervisor, `mutation($in: EndDrillInput!){endDrill(input:$in){drill{ending}}}`, vars{"in": vars{"drillID": x.id}})
		require.Equal(t, "OVER", x.state())
		x.until("the report is over", "state", func(s sessionView) bool { return s.State == "ENDED" })
		manager := h.signIn(policy.Manager)
		taught := ask[struct {
			TrainingRecords struct{ Nodes []struct{ Course string } }
		}](manager, `{trainingRecords{nodes{course}}}`, nil).TrainingRecords.Nodes
		require.Len(t, taught, 1)
		require.Equal(t, "DRILL", taught[0].Course)
	})
}

// 第11: what goes wrong on demand.
func TestDrillFailsOnDemand(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		h := openWith(t, c, &clock{}, &postbox{}, app.WithHurriedCallers())
		x := h.exercise("CAMERA_DENIED", "WEAK_NETWORK")
		x.send("LIVE")
		x.until("the camera is denied", "stall", func(s sessionView) bool { return s.Stall == "CAMERA_DENIED" })
		ask[struct{}](x.dispatcher, `mutation($in: AskModeInput!){askMode(input:$in){session{id}}}`, vars{"in": vars{"sessionID": x.of.id, "mode": "STORED"}})
		x.until("a stored photo comes instead", "counts{photosBefore}", func(s sessionView) bool { return s.Counts.PhotosBefore == 1 })
	})
}

// 第11: messages of a drill go to listed numbers alone, and say what they are.
func TestDrillMessagesGoToListedNumbersOnly(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		post := &postbox{}
		h := openWith(t, c, &clock{}, post)
		h.post = post
		manager, dispatcher := h.signIn(policy.Manager), h.signIn(policy.Dispatcher)
		k := ask[struct{ OpenCase struct{ Case node } }](dispatcher, openCase, vars{"in": vars{"place": "訓練", "drill": true}}).OpenCase.Case
		request := vars{"in": vars{"caseID": k.ID, "asked": "LIVE", "need": "訓練", "checks": allChecks, "number": testNumber}}
		require.Equal(t, "DRILL_NUMBER", dispatcher.refused(requestVideo, request))
		byMail := vars{"in": vars{"caseID": k.ID, "asked": "LIVE", "need": "訓練", "checks": allChecks, "email": "a@example.jp", "emailReason": "圏外"}}
		require.Equal(t, "DRILL_NUMBER", dispatcher.refused(requestVideo, byMail))
		ask[struct{}](manager, `mutation($in: AddDrillNumberInput!){addDrillNumber(input:$in){numbers{id}}}`, vars{"in": vars{"number": testNumber, "label": "訓練用1号"}})
		r := h.asked(dispatcher, k.ID)
		require.NotEmpty(t, r.secret)
		require.True(t, strings.HasPrefix(r.messages()[0].Body, "【訓練】"), r.messages()[0].Body)
	})
}

// Every call that can be chosen can be played.
func TestEveryDrillScriptIsPlayed(t *testing.T) {
	t.Parallel()
	var chosen []string
	for _, s := range operations.Scripts {
		chosen = append(chosen, s.ID)
	}
	require.ElementsMatch(t, chosen, drill.Scripts())
}
