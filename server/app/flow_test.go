package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/database"
	"genba/server/evidence"
	"genba/server/journal"
)

// photo is a picture of noise, so that no two look alike and none compresses.
func photo(t testing.TB, side int) []byte {
	t.Helper()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	picture := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			v := r.Uint32()
			picture.SetRGBA(x, y, color.RGBA{uint8(v), uint8(v >> 8), uint8(v >> 16), 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, picture, &jpeg.Options{Quality: 100}))
	return b.Bytes()
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// preview does what machines do that look at links in messages.
func (h *house) preview(n int) {
	h.t.Helper()
	for i := range n {
		method := []string{http.MethodGet, http.MethodHead}[i%2]
		header := []string{"User-Agent", fmt.Sprintf("preview/%d", i)}
		if i%3 == 0 {
			header = append(header, "Cookie", "__Host-caller=guess", "Sec-Fetch-Site", "cross-site")
		}
		a := h.must(method, "/v", nil, header...)
		require.Contains(h.t, []int{http.StatusOK, http.StatusServiceUnavailable}, a.status)
		require.Empty(h.t, a.header.Values("Set-Cookie"))
		require.Equal(h.t, "no-referrer", a.header.Get("Referrer-Policy"))
		require.NotContains(h.t, string(a.body), "中央一丁目")
	}
}

// stall begins a PATCH, sends some of the body and falls silent. It comes back
// once the house has kept something of it.
func (h *house) stall(data, path, token string, body []byte, sent int) net.Conn {
	h.t.Helper()
	before := kept(h.t, data)
	c, err := net.Dial("tcp", h.address())
	require.NoError(h.t, err)
	w := bufio.NewWriter(c)
	fmt.Fprintf(w, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"+
		"Content-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n", path, strings.TrimPrefix(h.URL(), "http://"), token, len(body))
	_, err = w.Write(body[:sent])
	require.NoError(h.t, err)
	require.NoError(h.t, w.Flush())
	eventually(h.t, func() string {
		if kept(h.t, data) < before+evidence.MinChunk {
			return "nothing is kept of what came"
		}
		return ""
	})
	return c
}

// kept is how many sealed bytes lie in the data folder.
func kept(t testing.TB, data string) (n int) {
	t.Helper()
	for _, text := range files(t, filepath.Join(data, "files")) {
		n += len(text)
	}
	return n
}

// offset asks how much has arrived, once nobody else is writing.
func (h *house) offset(path, token string) int {
	h.t.Helper()
	at := 0
	eventually(h.t, func() string {
		a, err := h.tus(http.MethodHead, path, token, nil)
		if err != nil || a.status != http.StatusOK {
			return fmt.Sprintf("HEAD: %d %v", a.status, err)
		}
		if at, err = strconv.Atoi(a.header.Get("Upload-Offset")); err != nil {
			return err.Error()
		}
		return ""
	})
	return at
}

// files reads every file of a folder.
func files(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was just destroyed
		}
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		all[path] = text
		return err
	}))
	return all
}

// requireNowhere says that none of the words stands in any file of a folder.
func requireNowhere(t testing.TB, folder string, words map[string][]byte) {
	t.Helper()
	for path, text := range files(t, folder) {
		for what, word := range words {
			require.False(t, bytes.Contains(text, word), "%s stands in %s", what, path)
		}
	}
}

// media reads a file under a grant, a piece at a time as players do.
func (h *house) media(url string) []byte {
	h.t.Helper()
	whole := h.must(http.MethodGet, url, nil)
	require.Equal(h.t, http.StatusOK, whole.status, string(whole.body))
	require.Equal(h.t, "nosniff", whole.header.Get("X-Content-Type-Options"))
	var pieces []byte
	for step := max(len(whole.body)/5, 1); len(pieces) < len(whole.body); {
		a := h.must(http.MethodGet, url, nil, "Range", fmt.Sprintf("bytes=%d-%d", len(pieces), len(pieces)+step-1))
		require.Equal(h.t, http.StatusPartialContent, a.status)
		pieces = append(pieces, a.body...)
	}
	require.True(h.t, bytes.Equal(whole.body, pieces), "ranges are parts of one file")
	return whole.body
}

// seconds is how long a player says that a file is.
func seconds(t testing.TB, file string) float64 {
	t.Helper()
	out, _ := program(t, nil, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file)
	d, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	require.NoError(t, err)
	return d
}

// requirePlays decodes all of a file, which must give no error.
func requirePlays(t testing.TB, data []byte) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "recording")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	_, complaints := program(t, nil, "ffmpeg", "-v", "error", "-i", file, "-fps_mode", "vfr", "-f", "null", "-")
	require.Empty(t, string(complaints))
	return file
}

// kept waits until the report has so many media files that are not RECEIVING.
func (r *report) kept(n int) []mediaView {
	r.t.Helper()
	var all []mediaView
	eventually(r.t, func() string {
		all = r.session(mediaFields).Media.Nodes
		for _, m := range all {
			if m.State == "RECEIVING" {
				return m.Kind + " is still coming in"
			}
		}
		if len(all) != n {
			return fmt.Sprintf("%d media files instead of %d", len(all), n)
		}
		return ""
	})
	return all
}

func of(kind string, all []mediaView) []mediaView {
	var found []mediaView
	for _, m := range all {
		if m.Kind == kind {
			found = append(found, m)
		}
	}
	return found
}

func (v *visitor) open(id string) string {
	v.t.Helper()
	return ask[struct{ OpenMedia struct{ URL string } }](v, openMedia, vars{"in": vars{"mediaFileID": id}}).OpenMedia.URL
}

// TestVideoReport is a whole report, from the call to the last due time.
func TestVideoReport(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		ticks := &clock{}
		h := open(t, c, ticks)
		f := &flow{house: h, config: c}
		f.ask()
		f.open()
		f.send()
		f.film()
		f.end()
		f.look()
		f.restart()
		f.forget()
	})
}

type flow struct {
	*house
	config     app.Config
	dispatcher *visitor
	manager    *visitor
	supervisor *visitor
	report     *report
	caller     *caller
	followers  map[string]*follower
	photos     map[string][]byte // by media file
	names      []string
	recordings [][]byte
	partial    bearer
	partialAt  string
	cameras    []*camera // of H.264, of VP8
	least      int64     // pictures of the second, before the end and after it
	most       int64
	screens    []*screen
}

// ask is the dispatcher's way from the call to the message.
func (f *flow) ask() {
	f.dispatcher, f.manager, f.supervisor = f.signIn(policy.Dispatcher), f.signIn(policy.Manager), f.signIn(policy.Supervisor)
	k := ask[struct{ OpenCase struct{ Case node } }](f.dispatcher, openCase, vars{"in": vars{"class": "TRAFFIC", "place": "中央一丁目の交差点", "notes": "トラックと自転車"}}).OpenCase.Case
	request := vars{"caseID": k.ID, "asked": "LIVE", "need": "けがの様子を見たい", "checks": vars{"safe": true}, "lateReason": "急ぎ", "number": "090-12", "notifiedNumber": "090-1234-5670"}
	require.Equal(f.t, "NUMBER_INVALID", f.dispatcher.refused(requestVideo, vars{"in": request}))
	request["number"] = testNumber
	s := ask[struct {
		RequestVideo struct {
			NumberDiffers bool
			Session       node
		}
	}](f.dispatcher, requestVideo, vars{"in": request}).RequestVideo
	require.True(f.t, s.NumberDiffers)
	f.report = &report{house: f.house, dispatcher: f.dispatcher, caseID: k.ID, id: s.Session.ID}

	send := vars{"sessionID": s.Session.ID, "lastFour": lastFour, "idempotencyKey": "once"}
	require.Equal(f.t, "CHECK_MISSING", f.dispatcher.refused(confirmSend, vars{"in": send}))
	send["checks"], send["lastFour"] = allChecks, "5679"
	require.Equal(f.t, "DIGITS_MISMATCH", f.dispatcher.refused(confirmSend, vars{"in": send}))
	require.Empty(f.t, f.post.all(), "nothing leaves before the second confirmation")
	require.Equal(f.t, "FORBIDDEN", f.manager.refused(confirmSend, vars{"in": send}), "the manager does not receive reports")

	send["lastFour"] = lastFour
	ask[struct{}](f.dispatcher, confirmSend, vars{"in": send})
	ask[struct{}](f.dispatcher, confirmSend, vars{"in": send})
	eventually(f.t, func() string {
		if len(f.post.all()) == 0 {
			return "no message arrived"
		}
		return ""
	})
	f.report.secret = linkForm.FindStringSubmatch(f.post.all()[0].Body)[1]
	require.Len(f.t, f.report.session("deliveries{id status}").Deliveries, 1, "the same confirmation sends once")

	f.followers = map[string]*follower{}
	board := ask[struct{ Cases struct{ Cursor string } }](f.dispatcher, `{cases{cursor nodes{id}}}`, nil).Cases.Cursor
	from := place(f.t, board)
	session := f.report.session("cursor").Cursor
	f.followers["board, socket"] = f.dispatcher.follow(overSocket, boardChanged, nil, board, from)
	f.followers["board, events"] = f.supervisor.follow(overEvents, boardChanged, nil, board, from)
	f.followers["session, socket"] = f.supervisor.follow(overSocket, sessionChanged, vars{"id": f.report.id}, session, place(f.t, session))
	f.followers["session, events"] = f.dispatcher.follow(overEvents, sessionChanged, vars{"id": f.report.id}, session, place(f.t, session))
}

// place reads the number that a cursor stands behind; for strangers it is opaque.
func place(t testing.TB, cursor string) int64 {
	t.Helper()
	at, err := journal.ParseCursor(cursor)
	require.NoError(t, err)
	return at.Entries
}

// open is the caller's way from the message to the consent.
func (f *flow) open() {
	f.preview(50)
	for range 10 {
		ask[struct{}](f.visitor("caller"), `query($s: String!){link(secret:$s){asked proof{ja} terms{version}}}`, vars{"s": f.report.secret})
	}
	s := f.report.session("state openedAt link{state used uses}")
	require.Equal(f.t, "LINK_SENT", s.State, "looking at a link changes nothing")
	require.Nil(f.t, s.OpenedAt)
	require.Zero(f.t, s.Link.Used)

	f.caller = f.report.caller()
	_, version := f.caller.tap()
	require.Equal(f.t, "2026-11", version)
	stranger := f.report.caller()
	no := stranger.joining()
	no["publicKey"] = "AAAA"
	require.Equal(f.t, "BAD_INPUT", stranger.refused(join, vars{"in": no}))
	require.Equal(f.t, "UNAUTHENTICATED", stranger.refused(beginUpload, vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": 1000}}))
	f.caller.agree()
	s = f.report.session("state link{used} phones{state}")
	require.Equal(f.t, "CONSENTED", s.State)
	require.Zero(f.t, s.Link.Used, "consent spends nothing")
	require.Equal(f.t, "PROVISIONAL", s.Phones[0].State)
	for _, name := range []string{"board, socket", "session, events"} {
		f.followers[name].interrupt()
	}
}

// send uploads two photos, the larger one over a line that breaks, and a place.
func (f *flow) send() {
	f.photos = map[string][]byte{}
	small, large := photo(f.t, 200), photo(f.t, 1100)
	require.InDelta(f.t, 100_000, len(small), 60_000)
	require.InDelta(f.t, 3_000_000, len(large), 1_000_000)
	f.names = []string{"IMG_現場_001.jpg", "passport-of-tanaka.jpeg"}
	f.photos[f.caller.upload(small, f.names[0]).ID] = small

	b := f.caller.begin(large, f.names[1])
	path := f.create(b, len(large))
	c := f.stall(f.config.Data, path, b.Token, large, len(large)/2)
	require.NoError(f.t, c.Close())
	at := f.offset(path, b.Token)
	require.Positive(f.t, at, "what came before the cut is kept")
	require.LessOrEqual(f.t, at, len(large)/2)
	again := ask[struct{ BeginUpload bearer }](f.caller.visitor, beginUpload,
		vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(large), "resume": b.ID}}).BeginUpload
	require.Equal(f.t, b.ID, again.ID)
	at = f.offset(path, again.Token)
	a := f.patch(path, again.Token, at, large[at:])
	require.Equal(f.t, http.StatusNoContent, a.status, string(a.body))
	f.photos[b.ID] = large
	for _, m := range f.report.kept(2) {
		require.Equal(f.t, "COMPLETE", m.State)
		require.Equal(f.t, hash(f.photos[m.ID]), *m.Sha256)
		require.Contains(f.t, f.names, *m.Name)
	}
	f.caller.locate(37.7608, 140.4747)
	s := f.report.session("state link{used} lastPosition{latitude longitude} phones{state}")
	require.Equal(f.t, "CONNECTED", s.State)
	require.Equal(f.t, 1, s.Link.Used)
	require.Equal(f.t, "BOUND", s.Phones[0].State)
	require.Equal(f.t, 37.7608, s.LastPosition.Latitude)
	for _, name := range []string{"board, socket", "session, events"} {
		f.followers[name].begin()
	}
	f.followers["board, events"].interrupt()
}

// film sends live video, in H.264 and in VP8, and the dispatcher watches.
func (f *flow) film() {
	early := f.report.watched(f.dispatcher)
	for _, mime := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP8} {
		x := f.caller.film(film{mime: mime}, footage(f.t, mime, "320x240", 400))
		early.sees(f.t, 30)
		eventually(f.t, func() string {
			if !f.report.session("live").Live {
				return "the report does not say that video comes in"
			}
			return ""
		})
		ask[struct{}](f.dispatcher, `mutation($in: ReportFirstFrameInput!){reportFirstFrame(input:$in){session{id}}}`, vars{"in": vars{"sessionID": f.report.id}})
		late := f.report.watched(f.supervisor)
		late.sees(f.t, 10)
		x.hasSent(f.t, 3*pictureRate)
		f.cameras, f.screens = append(f.cameras, x), []*screen{early, late}
		if mime == webrtc.MimeTypeH264 {
			x.halt()
			a := f.must(http.MethodDelete, x.location, nil, "Authorization", "Bearer "+f.caller.publish().Token)
			require.Equal(f.t, http.StatusOK, a.status, string(a.body))
			x.close()
			late.close()
		}
	}
	f.followers["board, events"].begin()
}

// end ends the report while video and a photo are coming in.
func (f *flow) end() {
	data := photo(f.t, 400)
	f.partial = f.caller.begin(data, "third.jpg")
	f.partialAt = f.create(f.partial, len(data))
	half := len(data) / 2
	require.Equal(f.t, http.StatusNoContent, f.patch(f.partialAt, f.partial.Token, 0, data[:half]).status)
	f.least, f.most = f.cameras[1].sentDuring(f.report.end)
	ended := time.Now()
	f.cameras[1].halt()
	for _, s := range f.screens {
		s.requireDark(f.t, ended)
	}
	f.cameras[1].close()
	require.Equal(f.t, "SESSION_ENDED", f.caller.refused(publish, nil))
	require.Equal(f.t, "SESSION_ENDED", f.caller.refused(position, vars{"in": vars{"latitude": 1, "longitude": 1, "accuracy": 1, "capturedAt": f.clock.Now().Format(time.RFC3339)}}))
	require.Equal(f.t, "SESSION_ENDED", f.dispatcher.refused(watch, vars{"in": vars{"sessionID": f.report.id}}))
	for _, document := range []string{openLink, join} {
		in := vars{"secret": f.report.secret}
		if document == join {
			in = f.report.caller().joining()
		}
		require.Equal(f.t, "LINK_UNUSABLE", f.visitor("caller").refused(document, vars{"in": in}))
	}
	own := ask[struct {
		Me struct {
			Session struct {
				Over    bool
				Uploads []struct{ ID string }
			}
		}
	}](f.caller.visitor, ownSession, nil).Me.Session
	require.True(f.t, own.Over)
	require.Len(f.t, own.Uploads, 3)

	f.report.kept(5)
	a := f.patch(f.partialAt, f.partial.Token, half, data[half:])
	require.Equal(f.t, "SESSION_ENDED", a.reason(), string(a.body))
	for _, m := range f.report.kept(5) {
		switch m.ID {
		case f.partial.ID:
			require.Equal(f.t, "INCOMPLETE", m.State)
			require.EqualValues(f.t, half, m.Size, "no byte more than what had come")
		default:
			require.Equal(f.t, "COMPLETE", m.State, m.Kind)
		}
		require.NotNil(f.t, m.DueAt)
	}
	counts := f.report.session("counts{recordings photosNow incomplete positions}").Counts
	require.Equal(f.t, 2, counts.Recordings)
	require.Equal(f.t, 2, counts.PhotosNow)
	require.Equal(f.t, 1, counts.Incomplete)
	require.Equal(f.t, 1, counts.Positions)
}

// look opens what came in, and checks what was told on the way.
func (f *flow) look() {
	for _, m := range of("RECORDING", f.report.kept(5)) {
		data := f.media(f.dispatcher.open(m.ID))
		f.recordings = append(f.recordings, data)
		file := requirePlays(f.t, data)
		if m.ContentType == "video/webm" {
			requireLong(f.t, file, f.least, f.most)
		} else {
			requireLong(f.t, file, f.cameras[0].sent.Load(), f.cameras[0].sent.Load())
		}
		require.InDelta(f.t, float64(m.DurationMs)/1000, seconds(f.t, file), 0.2)
		require.Zero(f.t, m.Gaps)
	}
	require.Len(f.t, f.recordings, 2)
	for id := range f.photos {
		eventually(f.t, func() string {
			for _, m := range f.report.kept(5) {
				if m.ID == id && m.Preview != "READY" {
					return "preview " + m.Preview
				}
			}
			return ""
		})
		shown := f.media(f.dispatcher.open(id))
		_, kind, err := image.DecodeConfig(bytes.NewReader(shown))
		require.NoError(f.t, err)
		require.Equal(f.t, "jpeg", kind)
		require.NotEqual(f.t, hash(f.photos[id]), hash(shown), "originals leave only in an export")
	}
	f.requireFollowed()
	day := f.clock.Now().In(time.FixedZone("JST", 9*60*60)).Format(time.DateOnly)
	f.requireCounted(f.supervisor, day)
	require.Equal(f.t, "FORBIDDEN", f.manager.refused(`query($d: Date!){statistics(from:$d,to:$d){cases}}`, vars{"d": day}))
}

// requireFollowed compares what each subscriber was told with the journal.
func (f *flow) requireFollowed() {
	f.t.Helper()
	all := f.journaled(f.manager)
	for i, e := range all {
		require.EqualValues(f.t, i+1, e.Number, "the journal has no gap")
	}
	for name, w := range f.followers {
		keep := everything
		if w.document == sessionChanged {
			keep = func(e journalEntry) bool { return e.SessionID != nil && *e.SessionID == f.report.id }
		}
		f.t.Log(name)
		w.requireAll(numbers(all, w.from, keep))
	}
}

func (f *flow) requireCounted(supervisor *visitor, day string) {
	f.t.Helper()
	s := ask[struct {
		Statistics struct {
			Cases, Sessions int
			ByKind          []struct {
				Kind            string
				Files, Sessions int
			}
			Funnel []struct {
				Stage    string
				Sessions int
			}
			ByEndReason []struct {
				Reason   *string
				Sessions int
			}
		}
	}](supervisor, `query($d: Date!){statistics(from:$d,to:$d){cases sessions byKind{kind files sessions} funnel{stage sessions} byEndReason{reason sessions}}}`, vars{"d": day}).Statistics
	require.Equal(f.t, 1, s.Cases)
	require.Equal(f.t, 1, s.Sessions)
	files := map[string]int{}
	for _, k := range s.ByKind {
		files[k.Kind] = k.Files
	}
	require.Equal(f.t, 2, files["LIVE_VIDEO"])
	require.Equal(f.t, 2, files["NOW_STILL"])
	require.Zero(f.t, files["BEFORE_STILL"])
	for _, stage := range s.Funnel {
		require.Equal(f.t, 1, stage.Sessions, stage.Stage)
	}
	for _, e := range s.ByEndReason {
		require.Equal(f.t, e.Reason != nil && *e.Reason == "DONE", e.Sessions == 1)
	}
}

// restart ends the server and starts it again on the same folders.
func (f *flow) restart() {
	for _, w := range f.followers {
		w.interrupt()
	}
	for _, s := range f.screens {
		s.close()
	}
	before := f.house
	people := before.Demo()
	before.close()
	f.house = open(f.t, f.config, before.clock)
	require.Equal(f.t, people.Users, f.Demo().Users, "the sign-ins stay")
	f.report.house, f.caller.house = f.house, f.house
	for _, v := range []*visitor{f.dispatcher, f.manager, f.supervisor, f.caller.visitor} {
		v.house = f.house
		require.Equal(f.t, v.page, map[string]string{"USER": "console", "CALLER": "caller"}[ask[struct{ Me struct{ Kind string } }](v, `{me{kind}}`, nil).Me.Kind])
	}
	require.Len(f.t, f.report.kept(5), 5)
	f.signIn(policy.Dispatcher)
	recording := of("RECORDING", f.report.kept(5))[0]
	require.Contains(f.t, [][]byte{f.recordings[0], f.recordings[1]}, f.media(f.dispatcher.open(recording.ID)))
}

// windows are pieces of what came in as a thief would look for them.
func (f *flow) windows() map[string][]byte {
	words := map[string][]byte{
		"the number": []byte(testE164[1:]), "the number as typed": []byte(testNumber), "the place": []byte("中央一丁目の交差点"), "the notes": []byte("トラックと自転車"),
	}
	for i, name := range f.names {
		words[fmt.Sprintf("name %d", i)] = []byte(name)
	}
	for name, word := range f.pictures() {
		words[name] = word
	}
	return words
}

// pictures are windows of 64 bytes from all that was received.
func (f *flow) pictures() map[string][]byte {
	words := map[string][]byte{"the link's secret": []byte(f.report.secret)}
	all := append([][]byte{}, f.recordings...)
	for _, data := range f.photos {
		all = append(all, data)
	}
	for i, data := range all {
		for n := range 20 {
			at := len(data) / 3 * 2 * n / 20
			at += len(data) / 4
			words[fmt.Sprintf("window %d of file %d", n, i)] = data[at : at+64]
		}
	}
	return words
}

// forget lets the last due time pass.
func (f *flow) forget() {
	requireNowhere(f.t, f.config.Data, f.pictures())
	all := f.report.kept(5)
	due := *all[0].DueAt
	today := f.clock.Now().In(time.FixedZone("JST", 9*60*60))
	require.True(f.t, due.Equal(time.Date(today.Year(), today.Month(), today.Day()+8, 0, 0, 0, 0, today.Location())), "第6の4: %s", due)
	f.clock.advance(due.Sub(f.clock.Now()) - 5*time.Minute)
	require.NoError(f.t, f.DueWork(context.Background()))
	require.Equal(f.t, "UNAUTHENTICATED", f.dispatcher.refused(watch, vars{"in": vars{"sessionID": f.report.id}}), "a sign-in lasts a shift")
	f.dispatcher, f.manager, f.supervisor = f.signIn(policy.Dispatcher), f.signIn(policy.Manager), f.signIn(policy.Supervisor)
	f.report.dispatcher = f.dispatcher
	recording := of("RECORDING", f.report.kept(5))[0]
	url := f.dispatcher.open(recording.ID)
	require.Equal(f.t, http.StatusOK, f.must(http.MethodGet, url, nil).status, "not a moment before")
	dueKeys := filepath.Join(f.config.Keys, "due")
	require.NotEmpty(f.t, files(f.t, dueKeys))

	f.clock.advance(6 * time.Minute)
	require.Equal(f.t, http.StatusGone, f.must(http.MethodGet, url, nil).status)
	eventually(f.t, func() string {
		if err := f.DueWork(context.Background()); err != nil {
			return err.Error()
		}
		return ""
	})
	require.Equal(f.t, http.StatusGone, f.must(http.MethodGet, url, nil).status)
	require.Empty(f.t, files(f.t, dueKeys), "the day's key is gone")
	require.Empty(f.t, files(f.t, filepath.Join(f.config.Data, "files")), "no sealed byte is left")
	require.Contains(f.t, []string{"GONE"}, f.dispatcher.refused(openMedia, vars{"in": vars{"mediaFileID": recording.ID}}))
	require.Empty(f.t, f.report.kept(0))
	var ledger int64
	require.NoError(f.t, f.DB.Read(context.Background()).Table("retention_ledger").Count(&ledger).Error)
	require.EqualValues(f.t, 5, ledger)
	erased := ask[struct {
		Case struct {
			Place, Notes string
			ErasedAt     *time.Time
		}
	}](f.dispatcher, `query($id: ID!){case(id:$id){place notes erasedAt}}`, vars{"id": f.report.caseID}).Case
	require.NotNil(f.t, erased.ErasedAt)
	require.Empty(f.t, erased.Place+erased.Notes)
	day := due.In(time.FixedZone("JST", 9*60*60)).AddDate(0, 0, -8).Format(time.DateOnly)
	f.requireCounted(f.supervisor, day)
	rep, err := f.Journal.Verify(context.Background())
	require.NoError(f.t, err)
	require.Empty(f.t, rep.Faults)
	require.Positive(f.t, rep.Emptied)
	f.close()
	requireNowhere(f.t, f.config.Data, f.windows())
	if f.DB.Dialect == database.SQLite {
		require.NotEmpty(f.t, files(f.t, f.config.Data))
	}
}

func TestStalledUpload(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	h := open(t, c, &clock{})
	r := h.reported(h.signIn(policy.Dispatcher))
	p := r.answered()
	data := photo(t, 500)
	b := p.begin(data, "")
	path := h.create(b, len(data))
	var lines []net.Conn
	for at := 0; at < len(data); {
		if at == 0 {
			lines = append(lines, h.stall(c.Data, path, b.Token, data, len(data)*2/3))
		}
		// Another network: the connection before was never closed.
		if next := h.offset(path, b.Token); next > at {
			at = next
		}
		require.Positive(t, at)
		a := h.patch(path, b.Token, at, data[at:min(at+100_000, len(data))])
		require.Equal(t, http.StatusNoContent, a.status, string(a.body))
		at = min(at+100_000, len(data))
	}
	for _, l := range lines {
		require.NoError(t, l.SetDeadline(time.Now().Add(patience)))
		_, err := io.ReadAll(l) // a refusal, or a reset where it still had something to say
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the house holds on to a dead connection")
		require.NoError(t, l.Close())
	}
	require.Equal(t, hash(data), *r.kept(1)[0].Sha256)
	r.end()
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.signIn(policy.Dispatcher)
	start := ask[struct{ Cases struct{ Cursor string } }](v, `{cases{cursor}}`, nil).Cases.Cursor
	ctx := context.Background()
	agency := ask[struct{ Me struct{ Agency node } }](v, `{me{agency{id}}}`, nil).Me.Agency.ID

	for name, by := range map[string]transport{"socket": overSocket, "events": overEvents} {
		t.Run(name+": a place that is not there yet is answered RESYNC", func(t *testing.T) {
			v := v.in(t)
			future := base64.RawURLEncoding.EncodeToString([]byte("1.999999.0"))
			require.Equal(t, "RESYNC", v.onlyRefusal(t, by, boardChanged, vars{"after": future}))
		})
		t.Run(name+": nonsense is answered BAD_CURSOR", func(t *testing.T) {
			v := v.in(t)
			require.Equal(t, "BAD_CURSOR", v.onlyRefusal(t, by, boardChanged, vars{"after": "nonsense"}))
		})
		t.Run(name+": a report that is not there is not found", func(t *testing.T) {
			v := v.in(t)
			require.Equal(t, "NOT_FOUND", v.onlyRefusal(t, by, sessionChanged, vars{"id": uuid.NewString()}))
		})
		t.Run(name+": a query answers once", func(t *testing.T) {
			v := v.in(t)
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			var got []graphqlAnswer
			require.NoError(t, by(ctx, v, operation(`{me{kind}}`, nil), func(a graphqlAnswer) { got = append(got, a) }))
			require.Len(t, got, 1)
			require.JSONEq(t, `{"me":{"kind":"USER"}}`, string(got[0].Data))
		})
	}
	t.Run("a place too far back is answered RESYNC", func(t *testing.T) {
		h, v := h.in(t), v.in(t)
		require.NoError(t, h.DB.InTx(ctx, func(tx *database.Tx) error {
			for range 1001 {
				h.Journal.Append(tx, journal.Entry{Agency: agency, Actor: policy.SystemActor(), Type: journal.SignedOut})
			}
			return nil
		}))
		require.Equal(t, "RESYNC", v.onlyRefusal(t, overSocket, boardChanged, vars{"after": start}))
	})
	t.Run("a console that is far behind gets everything in order", func(t *testing.T) {
		h, v := h.in(t), v.in(t)
		manager := h.signIn(policy.Manager)
		from := place(t, start) + 5
		f := v.follow(overSocket, boardChanged, nil, journal.Cursor{Entries: from}.String(), from)
		defer f.interrupt()
		f.requireAll(numbers(h.journaled(manager), from, everything))
	})
	t.Run("signing out ends a subscription", func(t *testing.T) {
		h := h.in(t)
		other := h.signIn(policy.Supervisor)
		f := other.follow(overSocket, boardChanged, nil, ask[struct{ Cases struct{ Cursor string } }](other, `{cases{cursor}}`, nil).Cases.Cursor, 0)
		defer f.interrupt()
		h.signIn(policy.Dispatcher) // something to be told of
		eventually(t, func() string {
			if got, _ := f.seen(); len(got) == 0 {
				return "nothing is told"
			}
			return ""
		})
		ask[struct{}](other, `mutation{signOut{done}}`, nil)
		eventually(t, func() string {
			if _, refused := f.seen(); len(refused) == 0 {
				return "the subscription goes on"
			}
			return ""
		})
		_, refused := f.seen()
		require.Equal(t, "UNAUTHENTICATED", refused[0].Extensions.Reason)
	})
}

// onlyRefusal is the reason of a subscription that is refused.
func (v *visitor) onlyRefusal(t *testing.T, by transport, document string, variables vars) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []graphqlAnswer
	_ = by(ctx, v, operation(document, variables), func(a graphqlAnswer) { // may end with a closed line
		got = append(got, a)
		cancel()
	})
	require.Len(t, got, 1)
	require.Len(t, got[0].Errors, 1)
	return got[0].Errors[0].Extensions.Reason
}
