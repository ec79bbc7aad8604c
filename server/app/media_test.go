package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/identity"
)

// requireRecorded says that the report's one recording plays without error and
// is as long as what was sent, at least and at most, within a second.
func (r *report) requireRecorded(least, most int64) mediaView {
	r.t.Helper()
	all := of("RECORDING", r.kept(1))
	require.Len(r.t, all, 1)
	requireLong(r.t, requirePlays(r.t, r.media(r.dispatcher.open(all[0].ID))), least, most)
	return all[0]
}

// requireLong compares a file's length with the pictures that were sent.
func requireLong(t testing.TB, file string, least, most int64) {
	t.Helper()
	length := seconds(t, file)
	require.GreaterOrEqual(t, length, float64(least)/pictureRate-1)
	require.LessOrEqual(t, length, float64(most)/pictureRate+1)
}

func TestBadNetworks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	for _, mime := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP8} {
		for _, deaf := range []bool{false, true} {
			name := codecName(mime) + " with loss, reordering and a new size is recorded without error"
			if deaf {
				name += ", and gaps are said where nothing is repaired"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h, dispatcher := h.in(t), dispatcher.in(t)
				r := h.reported(dispatcher)
				c := r.answered()
				x := c.film(film{mime: mime, deaf: deaf, weather: &weather{loss: 0.05, shuffle: true}},
					footage(t, mime, "320x240", 400), footage(t, mime, "640x480", 1200))
				r.watched(dispatcher).sees(t, 60)
				x.hasSent(t, 5*pictureRate)
				least, most := x.sentDuring(r.end)
				if deaf {
					least /= 2 // what follows a gap waits for a keyframe
				}
				m := r.requireRecorded(least, most)
				if deaf {
					require.Positive(t, m.Gaps)
				}
			})
		}
	}
}

func TestCuts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	c := footage(t, webrtc.MimeTypeH264, "320x240", 400)

	t.Run("a link that is revoked cuts live video within a second", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		phone := r.answered()
		x := phone.film(film{mime: webrtc.MimeTypeH264}, c)
		s := r.watched(dispatcher)
		s.sees(t, 30)
		least, most := x.sentDuring(func() { ask[struct{}](dispatcher, revokeLink, vars{"in": vars{"sessionID": r.id}}) })
		s.requireDark(t, time.Now())
		require.Equal(t, "REVOKED", r.session("state").State)
		r.requireRecorded(least, most)
		require.Equal(t, "LINK_UNUSABLE", phone.refused(openLink, vars{"in": vars{"secret": r.secret}}))
	})
	t.Run("signing out cuts what is watched, and nobody else", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		x := r.answered().film(film{mime: webrtc.MimeTypeH264}, c)
		leaving, staying := h.signIn(policy.Supervisor), h.signIn(policy.Supervisor)
		stays, leaves := r.watched(staying), r.watched(leaving)
		stays.sees(t, 30)
		leaves.sees(t, 30)
		waits, a, err := h.newScreen(r.watch(leaving))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, a.status)
		t.Cleanup(waits.close)
		late := r.watch(leaving)
		ask[struct{}](leaving, `mutation{signOut{done}}`, nil)
		out := time.Now()
		leaves.requireDark(t, out)
		stays.sees(t, 60)
		require.Less(t, time.Unix(0, waits.last.Load()).Sub(out), time.Second, "what was about to watch sees nothing either")
		_, a, err = h.newScreen(late)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, a.status, "a bearer dies with the sign-in that it was given to")
		x.hasSent(t, 2*pictureRate)
		r.end()
		eventually(t, func() string {
			for _, v := range r.session("viewings{nodes{id closedAt}}").Viewings.Nodes {
				if v.ClosedAt == "" {
					return "a viewing is still open"
				}
			}
			return ""
		})
	})
	t.Run("a phone that is put out is cut, and what it sent stays", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		first := r.answered()
		x := first.film(film{mime: webrtc.MimeTypeH264}, c)
		s := r.watched(dispatcher)
		s.sees(t, 30)
		least, most := x.sentDuring(func() {
			ask[struct{}](dispatcher, admitPhone, vars{"in": vars{"phoneID": first.phone, "admit": false}})
		})
		out := time.Now()
		eventually(t, func() string {
			if r.session("live").Live {
				return "the report is still live"
			}
			return ""
		})
		require.Less(t, time.Unix(0, s.last.Load()).Sub(out), time.Second)
		require.Equal(t, "UNAUTHENTICATED", first.refused(publish, nil))
		r.requireRecorded(least, most)
		r.end()
	})
}

const admitPhone = `mutation($in: AdmitPhoneInput!){admitPhone(input:$in){session{id link{used}}}}`

// T02: the first phone whose media is accepted is the one; another waits, sees
// nothing of it and never replaces it.
func TestSecondPhone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	data := photo(t, 100)

	t.Run("waits, sees nothing of the first, and sends once it is admitted", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		first, second := r.answered(), r.answered()
		require.Equal(t, []string{"PROVISIONAL", "PROVISIONAL"}, []string{first.state, second.state})
		first.upload(data, "")
		require.Equal(t, "PHONE_WAITING", second.refused(beginUpload, vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": 9}}))
		require.Equal(t, "PHONE_WAITING", second.refused(publish, nil))
		own := ask[struct {
			Me struct {
				Session struct {
					Received int64
					Uploads  []node
					Phone    struct{ State string }
				}
			}
		}](second.visitor, ownSession, nil).Me.Session
		require.Equal(t, "WAITING", own.Phone.State)
		require.Zero(t, own.Received)
		require.Empty(t, own.Uploads)
		ask[struct{}](dispatcher, admitPhone, vars{"in": vars{"phoneID": second.phone, "admit": true}})
		second.upload(data, "")
		first.upload(data, "")
		require.Equal(t, 2, r.session("link{used}").Link.Used)
		third := r.caller()
		require.Equal(t, "LINK_UNUSABLE", third.refused(join, vars{"in": third.joining()}), "both uses are spent")
		r.end()
	})
	t.Run("is refused for good", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		first, second := r.answered(), r.answered()
		first.locate(35, 139)
		ask[struct{}](dispatcher, admitPhone, vars{"in": vars{"phoneID": second.phone, "admit": false}})
		require.Equal(t, "UNAUTHENTICATED", second.refused(publish, nil))
		nonce, _ := second.tap()
		require.Equal(t, "SIGNATURE_INVALID", second.visitor.refused(resume, second.proof(nonce)))
		require.Equal(t, 1, r.session("link{used}").Link.Used)
		first.upload(data, "")
		r.end()
	})
	t.Run("a first phone that lost its cookie goes on with its key; a stolen proof does not", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		first := r.answered()
		first.upload(data, "")
		old := first.cookie
		first.cookie = ""
		nonce, _ := first.tap()
		proof := first.proof(nonce)
		ask[struct{}](first.visitor, resume, proof)
		first.upload(data, "")
		thief := r.caller()
		require.Equal(t, "NONCE_INVALID", thief.refused(resume, proof), "a nonce is good once")
		nonce, _ = thief.tap()
		thief.phone = first.phone
		require.Equal(t, "SIGNATURE_INVALID", thief.refused(resume, thief.proof(nonce)))
		thief.cookie = old
		require.Equal(t, "UNAUTHENTICATED", thief.refused(publish, nil), "the old cookie is dead")
		require.Equal(t, 1, r.session("link{used}").Link.Used)
		r.end()
	})
	t.Run("with one use never gets in", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		agency := ask[struct{ Me struct{ Agency node } }](dispatcher, `{me{agency{id}}}`, nil).Me.Agency.ID
		settings := identity.DefaultSettings
		settings.LinkUses = 1
		require.NoError(t, h.People.SetSettings(t.Context(), policy.SystemActor(), agency, settings))
		r := h.reported(dispatcher)
		first, second := r.answered(), r.answered()
		first.upload(data, "")
		require.Equal(t, "LINK_UNUSABLE", dispatcher.refused(admitPhone, vars{"in": vars{"phoneID": second.phone, "admit": true}}))
		for i := range 3 {
			late := r.caller()
			require.Equal(t, "LINK_UNUSABLE", late.refused(join, vars{"in": late.joining()}), fmt.Sprint(i))
		}
		x := first.film(film{mime: webrtc.MimeTypeVP8}, footage(t, webrtc.MimeTypeVP8, "320x240", 400))
		x.hasSent(t, pictureRate)
		require.Equal(t, 1, r.session("link{used}").Link.Used)
		r.end()
	})
}

// secondPhones is how often a second phone tries: with -long a hundred times.
const secondPhones = 4

// T02: the first phone goes on publishing whatever a second one with the same
// link tries, and with one use the second is refused.
func TestT02SecondPhoneNeverTakesOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)
	runs := secondPhones
	if *long {
		runs = 100
	}
	agency := h.agency()
	for n := range runs {
		settings := identity.DefaultSettings
		if settings.LinkUses = 2; n%2 == 1 {
			settings.LinkUses = 1
		}
		require.NoError(t, h.People.SetSettings(t.Context(), policy.SystemActor(), agency, settings))
		r := h.reported(dispatcher)
		first, second := r.answered(), r.answered() // both have the page open
		camera := first.film(film{mime: webrtc.MimeTypeH264}, clip)
		screen := r.watched(dispatcher)
		screen.sees(t, 10)
		if settings.LinkUses == 1 {
			require.Contains(t, []string{"LINK_UNUSABLE", "PHONE_WAITING", "UNAUTHENTICATED", "PHONE_REFUSED"}, second.refused(publish, nil))
			third := r.caller()
			require.Equal(t, "LINK_UNUSABLE", third.refused(join, vars{"in": third.joining()}))
		} else {
			require.Equal(t, "PHONE_WAITING", second.refused(publish, nil))
			require.Equal(t, "PHONE_WAITING", second.refused(beginUpload, vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": 9}}))
		}
		screen.sees(t, 10)
		require.Equal(t, 1, r.session("link{used}").Link.Used)
		camera.close()
		screen.close()
		r.end()
		h.clock.advance(time.Minute) // nobody sends more than so many messages in ten minutes
	}
}
