package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
)

// officer is a registered phone in the field.
type officer struct {
	*visitor
	member, link string
	key          *ecdsa.PrivateKey
}

// officer registers somebody with a phone, matched and in use.
func (h *house) officer(manager *visitor, device string) *officer {
	h.t.Helper()
	o := &officer{visitor: h.visitor("staff")}
	o.member = ask[struct{ RegisterStaffMember struct{ Member node } }](manager,
		`mutation($in: RegisterStaffMemberInput!){registerStaffMember(input:$in){member{id}}}`, vars{"in": vars{"unit": "福島署", "name": "渡辺"}}).RegisterStaffMember.Member.ID
	var err error
	o.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(h.t, err)
	spki, err := x509.MarshalPKIXPublicKey(&o.key.PublicKey)
	require.NoError(h.t, err)
	in := vars{"memberID": o.member, "device": device}
	if device == "PRIVATE" {
		in["permission"] = vars{"name": "所属 長", "post": "福島署長", "number": "第12号", "date": "2026-11-01"}
	}
	code := ask[struct{ IssueStaffSheet struct{ Code string } }](manager, `mutation($in: IssueStaffSheetInput!){issueStaffSheet(input:$in){code}}`,
		vars{"in": in}).IssueStaffSheet.Code
	phone := ask[struct {
		RegisterStaffPhone struct {
			Phone struct{ ID, MatchNumber string }
		}
	}](o.visitor, `mutation($in: RegisterStaffPhoneInput!){registerStaffPhone(input:$in){phone{id matchNumber}}}`, vars{"in": vars{
		"code": code, "publicKey": base64.StdEncoding.EncodeToString(spki), "rulesVersion": "2026-11", "rulesLanguage": "ja", "system": "Android 16", "browser": "Chrome",
	}}).RegisterStaffPhone.Phone
	o.link = phone.ID
	ask[struct{}](manager, `mutation($in: MatchStaffPhoneInput!){matchStaffPhone(input:$in){link{state}}}`, vars{"in": vars{"linkID": o.link, "number": phone.MatchNumber}})
	return o
}

// start begins the officer's own video report; the phone may send then.
func (o *officer) start() (session string) {
	o.t.Helper()
	nonce := ask[struct{ ChallengeStaffPhone struct{ Nonce string } }](o.visitor, `mutation($in: ChallengeStaffPhoneInput!){challengeStaffPhone(input:$in){nonce}}`,
		vars{"in": vars{"phoneID": o.link}}).ChallengeStaffPhone.Nonce
	sum := sha256.Sum256([]byte(nonce))
	r, s, err := ecdsa.Sign(rand.Reader, o.key, sum[:])
	require.NoError(o.t, err)
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	_, err = o.Cases.RotateStaffCodes(context.Background())
	require.NoError(o.t, err)
	code, err := o.Cases.StaffCode(context.Background(), o.agency())
	require.NoError(o.t, err)
	return ask[struct {
		StartStaffSession struct{ Phone struct{ Session node } }
	}](o.visitor, `mutation($in: StartStaffSessionInput!){startStaffSession(input:$in){phone{session{id}}}}`, vars{"in": vars{
		"nonce": nonce, "signature": base64.StdEncoding.EncodeToString(raw), "code": code.Code, "withinResponse": true, "noOtherPath": true,
	}}).StartStaffSession.Phone.Session.ID
}

// agency is where demo mode's people belong.
func (h *house) agency() string {
	h.t.Helper()
	a, err := h.People.AgencyByCode(context.Background(), h.Demo().Agency)
	require.NoError(h.t, err)
	return a.ID
}

const (
	showOfficers = `mutation($in: ShareWithOfficersInput!){shareWithOfficers(input:$in){shares{id}}}`
	watchShare   = `mutation($in: WatchShareInput!){watchShare(input:$in){url token}}`
	openShared   = `mutation($in: OpenSharedMediaInput!){openSharedMedia(input:$in){url contentType}}`
	suspendLink  = `mutation($in: SuspendStaffLinkInput!){suspendStaffLink(input:$in){link{state}}}`
)

// A dispatcher shows live video to an officer's issued phone; it is dark within
// a second when the share is taken back, when its time is over, and when the
// phone is suspended. A private phone is shown nothing (第4の4(2)オ).
func TestAnOfficersPhoneIsShownWhatIsShared(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher, supervisor, manager := h.signIn(policy.Dispatcher), h.signIn(policy.Supervisor), h.signIn(policy.Manager)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)
	r := h.reported(dispatcher)
	c := r.answered()
	c.film(film{mime: webrtc.MimeTypeH264}, clip)
	c.upload(photo(t, 64), "現場.jpg")
	o := h.officer(manager, "ISSUED")
	show := func(t *testing.T, member string) (graphqlAnswer, string) {
		a := dispatcher.in(t).graphql(showOfficers, vars{"in": vars{"sessionID": r.id, "memberIDs": []string{member}, "minutes": 10}})
		if len(a.Errors) > 0 {
			return a, ""
		}
		shown := ask[struct{ SharesReceived []node }](o.in(t), "{sharesReceived{id}}", nil).SharesReceived
		require.Len(t, shown, 1)
		return a, shown[0].ID
	}
	look := func(t *testing.T) (string, *screen) {
		t.Helper()
		require.NotEmpty(t, o.refused(watch, vars{"in": vars{"sessionID": r.id}}), "by the share alone")
		_, id := show(t, o.member)
		b := ask[struct{ WatchShare bearer }](o.in(t), watchShare, vars{"in": vars{"shareID": id}}).WatchShare
		s, a, err := h.in(t).newScreen(b)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, a.status, string(a.body))
		t.Cleanup(s.close)
		s.sees(t, 30)
		return id, s
	}

	t.Run("a private phone is shown nothing", func(t *testing.T) {
		private := h.officer(manager, "PRIVATE")
		a, _ := show(t, private.member)
		require.Equal(t, "PHONE_NOT_ISSUED", a.Errors[0].Extensions.Reason)
		require.Empty(t, ask[struct{ SharesReceived []node }](private.visitor, "{sharesReceived{id}}", nil).SharesReceived)
	})
	t.Run("revoked", func(t *testing.T) {
		id, s := look(t)
		watchers := ask[struct {
			Session struct {
				Shares []struct {
					Watchers []struct {
						Name, Unit string
						Live       bool
					}
				}
			}
		}](dispatcher.in(t), `query($id: ID!){session(id:$id){shares{watchers{name unit live}}}}`, vars{"id": r.id}).Session.Shares[0].Watchers
		require.Len(t, watchers, 1)
		require.Equal(t, "渡辺", watchers[0].Name)
		ask[struct{}](dispatcher.in(t), `mutation($in: RevokeShareInput!){revokeShare(input:$in){share{ending}}}`, vars{"in": vars{"shareID": id}})
		s.requireDark(t, time.Now())
		require.Equal(t, "SHARE_OVER", o.in(t).refused(watchShare, vars{"in": vars{"shareID": id}}))
	})
	t.Run("its time is over", func(t *testing.T) {
		_, s := look(t)
		h.clock.advance(10 * time.Minute)
		s.requireDark(t, time.Now().Add(time.Second))
	})
	t.Run("the phone is suspended", func(t *testing.T) {
		id, s := look(t)
		var photo string
		eventually(t, func() string { // its preview is made beside
			for _, f := range ask[struct {
				SharedReport struct {
					Files []struct{ ID, Kind, Preview string }
				}
			}](o.in(t), `query($id: ID!){sharedReport(id:$id){files{id kind preview}}}`, vars{"id": id}).SharedReport.Files {
				if f.Kind == "PHOTO" && f.Preview == "READY" {
					photo = f.ID
					return ""
				}
			}
			return "no photo can be shown"
		})
		opened := ask[struct{ OpenSharedMedia bearer }](o.in(t), openShared, vars{"in": vars{"shareID": id, "mediaFileID": photo}}).OpenSharedMedia
		require.Equal(t, http.StatusOK, h.must(http.MethodGet, opened.URL, nil).status)
		ask[struct{}](supervisor.in(t), suspendLink, vars{"in": vars{"linkID": o.link}})
		s.requireDark(t, time.Now())
		require.Equal(t, http.StatusForbidden, h.must(http.MethodGet, opened.URL, nil).status)
		require.Equal(t, "STAFF_LINK_SUSPENDED", o.in(t).refused(watchShare, vars{"in": vars{"shareID": id}}))
		require.Empty(t, ask[struct{ SharesReceived []node }](o.in(t), "{sharesReceived{id}}", nil).SharesReceived)
	})
}

// T04: suspending an officer's phone while it sends: the last forwarded packet
// comes no later than a second after.
func TestT04SuspendingCutsAnOfficersLiveVideo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	supervisor, manager := h.signIn(policy.Supervisor), h.signIn(policy.Manager)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)
	o := h.officer(manager, "ISSUED")
	session := o.start()
	c := &caller{visitor: o.visitor}
	c.film(film{mime: webrtc.MimeTypeH264}, clip)
	b := ask[struct{ Watch bearer }](supervisor, watch, vars{"in": vars{"sessionID": session, "reason": "COMMAND"}}).Watch
	s, a, err := h.newScreen(b)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	t.Cleanup(s.close)
	s.sees(t, 30)
	ask[struct{}](supervisor, suspendLink, vars{"in": vars{"linkID": o.link}})
	s.requireDark(t, time.Now())
	require.NotEmpty(t, o.refused(publish, nil), "and sends no more")
}
