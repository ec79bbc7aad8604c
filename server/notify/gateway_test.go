package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/problem"
)

type ctxT = context.Context

// sms is a gateway as it stands on the internet: it keeps what it was sent.
type sms struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []request
	answer func(w http.ResponseWriter, r *http.Request)
}

type request struct {
	path   string
	header http.Header
	body   string
}

func newSMS(t *testing.T) *sms {
	t.Helper()
	s := &sms{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, request{r.URL.RequestURI(), r.Header, string(body)})
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sms) say(answer func(w http.ResponseWriter, r *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *sms) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// documented is the example file of the documents, with its host and secret
// files in place of the ones it names.
func documented(t *testing.T, name, host string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "gateways", name))
	require.NoError(t, err)
	text := string(b)
	folder := t.TempDir()
	for _, secret := range []string{"sms-account", "sms-token", "sms-callback"} {
		path := filepath.Join(folder, secret)
		require.NoError(t, os.WriteFile(path, []byte("secret of "+secret+"\n"), 0o600))
		text = strings.ReplaceAll(text, "/etc/genba/"+secret, path)
	}
	for _, theirs := range []string{"https://api.twilio.com", "https://sms.example.jp"} {
		text = strings.ReplaceAll(text, theirs, host)
	}
	path := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func callbackURL() string { return publicURL + notify.CallbackPath }

func open(t *testing.T, path string) *notify.Gateway {
	t.Helper()
	g, err := notify.OpenGateway(path, callbackURL)
	require.NoError(t, err)
	return g
}

var message = notify.Message{Key: "0198f7c2-1111-7000-8000-000000000000", Channel: notify.SMS, To: number, Body: "福島県警察です。\"&<\n" + publicURL + "/v#abc"}

func TestDocumentedGateways(t *testing.T) {
	t.Run("the form that Twilio takes", func(t *testing.T) {
		s := newSMS(t)
		s.say(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"sid":"SM1","status":"queued"}`)
		})
		reference, err := open(t, documented(t, "twilio.toml", s.URL)).Send(t.Context(), message)
		require.NoError(t, err)
		require.Equal(t, "SM1", reference)
		r := s.requests()[0]
		require.Equal(t, "application/x-www-form-urlencoded", r.header.Get("Content-Type"))
		user, password, ok := (&http.Request{Header: r.header}).BasicAuth()
		require.True(t, ok)
		require.Equal(t, "secret of sms-account", user)
		require.Equal(t, "secret of sms-token", password)
		require.Equal(t, message.Key, r.header.Get("I-Twilio-Idempotency-Token"))
		fields, err := url.ParseQuery(r.body)
		require.NoError(t, err)
		require.Equal(t, message.Body, fields.Get("Body"))
		require.Equal(t, number, fields.Get("To"))
		require.Equal(t, callbackURL()+"?key="+message.Key, fields.Get("StatusCallback"))
	})
	t.Run("the JSON of an aggregator", func(t *testing.T) {
		s := newSMS(t)
		s.say(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"result":{"code":"0","id":4711}}`)
		})
		reference, err := open(t, documented(t, "aggregator.toml", s.URL)).Send(t.Context(), message)
		require.NoError(t, err)
		require.Equal(t, "4711", reference)
		r := s.requests()[0]
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.body), &body))
		require.Equal(t, "09012345678", body["phone"], "as it is dialled in Japan")
		require.Equal(t, message.Body, body["text"])
		require.Equal(t, message.Key, body["client_id"])
		require.Equal(t, "Bearer secret of sms-token", r.header.Get("Authorization"))
	})
}

func TestGatewayAnswers(t *testing.T) {
	s := newSMS(t)
	g := open(t, documented(t, "aggregator.toml", s.URL))
	for name, c := range map[string]struct {
		status    int
		body      string
		permanent bool
		taken     bool
	}{
		"taken":                      {200, `{"result":{"code":"0","id":"x"}}`, false, true},
		"its code says no":           {200, `{"result":{"code":"203"}}`, true, false},
		"its code says later":        {200, `{"result":{"code":"900"}}`, false, false},
		"it says nothing":            {200, `<html>`, false, false},
		"broken":                     {500, "", false, false},
		"busy":                       {429, "", false, false},
		"credentials are wrong":      {401, "", false, false},
		"the number is none":         {400, "", true, false},
		"it sends us somewhere else": {302, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s.say(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://192.0.2.1/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := g.Send(t.Context(), message)
			if c.taken {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.Equal(t, c.permanent, strings.Contains(err.Error(), notify.ErrPermanent.Error()))
			for _, secret := range []string{"secret of", "9012345678", "abc", s.URL} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestGatewayFileFaults(t *testing.T) {
	good := func() string {
		b, err := os.ReadFile(documented(t, "aggregator.toml", "https://sms.example.jp"))
		require.NoError(t, err)
		return string(b)
	}
	for name, c := range map[string]struct {
		change func(string) string
		want   []string
	}{
		"no TOML":              {func(string) string { return "method =" }, []string{"sms-gateway"}},
		"unknown":              {func(s string) string { return "mehtod = 'x'\n" + s }, []string{"mehtod: no such setting"}},
		"plain http":           {func(s string) string { return strings.ReplaceAll(s, "https://", "http://") }, []string{"must begin with https"}},
		"a password in it":     {func(s string) string { return strings.ReplaceAll(s, "https://", "https://a:b@") }, []string{"nobody's password"}},
		"secret is not there":  {func(s string) string { return strings.ReplaceAll(s, "sms-token", "nowhere") }, []string{"secrets.token"}},
		"quotes of its own":    {func(s string) string { return strings.ReplaceAll(s, "{{json .Body}}", `"{{.Body}}"`) }, []string{"is no JSON"}},
		"unknown in template":  {func(s string) string { return strings.ReplaceAll(s, "{{json .Body}}", `{{json .Text}}`) }, []string{"Text"}},
		"unknown value":        {func(s string) string { return strings.ReplaceAll(s, ".Secrets.token", `.Secrets.other`) }, []string{"other"}},
		"no key":               {func(s string) string { return strings.ReplaceAll(s, "{{json .Key}}", `"x"`) }, []string{"{{.Key}} stands nowhere"}},
		"no text":              {func(s string) string { return strings.ReplaceAll(s, "{{json .Body}}", `"x"`) }, []string{"{{.Body}} stands nowhere"}},
		"another method":       {func(s string) string { return strings.ReplaceAll(s, "POST", "DELETE") }, []string{"method"}},
		"signature is unknown": {func(s string) string { return strings.ReplaceAll(s, "hmac-sha256", "md5") }, []string{"callback.signature"}},
		"several at once": {
			func(s string) string {
				return strings.NewReplacer("hmac-sha256", "md5", "POST", "DELETE", `status = "status"`, "").Replace(s)
			},
			[]string{"callback.signature", "method", "callback.status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gateway.toml")
			require.NoError(t, os.WriteFile(path, []byte(c.change(good())), 0o600))
			_, err := notify.OpenGateway(path, callbackURL)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "secret of")
		})
	}
	_, err := notify.OpenGateway(filepath.Join(t.TempDir(), "nowhere"), callbackURL)
	require.Error(t, err)
}

// byTwilio signs a callback as Twilio does.
func byTwilio(secret string, fields url.Values, key string) *http.Request {
	address := callbackURL() + "?key=" + url.QueryEscape(key)
	text := address
	names := []string{}
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + fields.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return r
}

// byAggregator signs a callback as the documented aggregator does.
func byAggregator(secret, body string, at time.Time) *http.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + body))
	r := httptest.NewRequest(http.MethodPost, callbackURL(), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Timestamp", stamp)
	r.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

func writeProblem(w http.ResponseWriter, _ *http.Request, err error) {
	w.WriteHeader(problem.Of(err).Status())
}

// T12, 第4の1(2): the gateway's signed word on what became of a message.
func TestCallbacks(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := newSMS(t)
		sent := func(t *testing.T, g *notify.Gateway) (*cases.Session, *notify.Delivery) {
			session := o.request()
			require.NoError(t, o.send(session, "a"))
			_, err := o.another(notify.Channels{SMS: g}).Deliver(t.Context())
			require.NoError(t, err)
			d := o.deliveries(session)[0]
			require.Equal(t, notify.Sent, d.Status)
			return session, d
		}
		call := func(g *notify.Gateway, r *http.Request) int {
			w := httptest.NewRecorder()
			o.Callback(g, writeProblem).ServeHTTP(w, r)
			return w.Code
		}
		counts := func() string { return fmt.Sprint(o.CallbackCounts()) }

		t.Run("Twilio's: delivered, and told again nothing more", func(t *testing.T) {
			s.say(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"sid":"SM1"}`) })
			g := open(t, documented(t, "twilio.toml", s.URL))
			session, d := sent(t, g)
			require.Equal(t, "SM1", d.GatewayID)
			delivered := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}}
			require.Equal(t, 204, call(g, byTwilio("secret of sms-token", url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"sent"}}, d.ID)))
			require.Equal(t, notify.Sent, o.deliveries(session)[0].Status)
			for range 3 {
				require.Equal(t, 204, call(g, byTwilio("secret of sms-token", delivered, d.ID)))
				require.Equal(t, notify.Delivered, o.deliveries(session)[0].Status)
			}
			require.Equal(t, o.db.Now(), o.deliveries(session)[0].DeliveredAt.UTC())
			require.Len(t, o.entries(journal.DeliveryDelivered), 1)
			failed := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}}
			require.Equal(t, 204, call(g, byTwilio("secret of sms-token", failed, d.ID)), "an old word, replayed")
			require.Equal(t, notify.Delivered, o.deliveries(session)[0].Status)
			require.Empty(t, o.session(session).Stall)

			before := counts()
			other := byTwilio("secret of sms-token", delivered, d.ID)
			other.URL.RawQuery = "key=" + message.Key
			require.Equal(t, 403, call(g, other), "signed for another address")
			require.Equal(t, 403, call(g, byTwilio("guessed", delivered, d.ID)))
			require.NotEqual(t, before, counts(), "counted")
			require.Equal(t, 404, call(g, byTwilio("secret of sms-token", url.Values{"MessageSid": {"SM9"}, "MessageStatus": {"delivered"}}, message.Key)), "no message of ours")
		})
		t.Run("HMAC: failed, seen by the dispatcher; delivered after all", func(t *testing.T) {
			s.say(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"result":{"code":"0","id":77}}`)
			})
			g := open(t, documented(t, "aggregator.toml", s.URL))
			session, d := sent(t, g)
			body := func(status string) string { return `{"client_id":"` + d.ID + `","status":"` + status + `"}` }
			require.Equal(t, 204, call(g, byAggregator("secret of sms-callback", body("FAILED"), o.db.Now())))
			now := o.deliveries(session)[0]
			require.Equal(t, notify.Failed, now.Status)
			require.Equal(t, "UNDELIVERED", now.Failure)
			require.Equal(t, cases.SMSUndelivered, o.session(session).Stall)
			require.Equal(t, 204, call(g, byAggregator("secret of sms-callback", body("DELIVERED"), o.db.Now())))
			require.Equal(t, notify.Delivered, o.deliveries(session)[0].Status)
			require.Empty(t, o.session(session).Stall)
			require.Equal(t, 403, call(g, byAggregator("secret of sms-callback", body("FAILED"), o.db.Now().Add(-6*time.Minute))), "an old one")
			require.Equal(t, 403, call(g, byAggregator("guessed", body("FAILED"), o.db.Now())))
			forged := byAggregator("secret of sms-callback", body("DELIVERED"), o.db.Now())
			forged.Body = io.NopCloser(strings.NewReader(body("FAILED")))
			require.Equal(t, 403, call(g, forged))
			for _, strange := range []string{"", "null", "[]", `{"client_id":{}}`, `{"client_id":"'; --","status":"DELIVERED"}`} {
				require.Equal(t, 404, call(g, byAggregator("secret of sms-callback", strange, o.db.Now())), strange)
			}
			require.Equal(t, 413, call(g, byAggregator("secret of sms-callback", strings.Repeat("x", 20<<10), o.db.Now())))
		})
		t.Run("an older link's failure does not speak of the newer one", func(t *testing.T) {
			g := open(t, documented(t, "aggregator.toml", s.URL))
			session, old := sent(t, g)
			require.NoError(t, o.send(session, "b"))
			require.Equal(t, 204, call(g, byAggregator("secret of sms-callback", `{"client_id":"`+old.ID+`","status":"FAILED"}`, o.db.Now())))
			require.Empty(t, o.session(session).Stall)
		})
		t.Run("faster than our own note of the sending", func(t *testing.T) {
			g := open(t, documented(t, "aggregator.toml", s.URL))
			session := o.request()
			require.NoError(t, o.send(session, "a"))
			id := o.deliveries(session)[0].ID
			s.say(func(w http.ResponseWriter, _ *http.Request) {
				call(g, byAggregator("secret of sms-callback", `{"client_id":"`+id+`","status":"DELIVERED"}`, o.db.Now()))
				_, _ = io.WriteString(w, `{"result":{"code":"0","id":78}}`)
			})
			_, err := o.another(notify.Channels{SMS: g}).Deliver(t.Context())
			require.NoError(t, err)
			require.Equal(t, notify.Delivered, o.deliveries(session)[0].Status)
			require.Equal(t, "78", o.deliveries(session)[0].GatewayID)
		})
	})
}

// long is the long form of TestKillsAroundSending.
var long = flag.Bool("long", false, "kill the sender 500 times")

// T12, in short: processes that die anywhere around the sending. Each message
// reaches the gateway, what reaches it twice has one key, and what nobody
// confirmed never does.
func TestKillsAroundSending(t *testing.T) {
	messages, kills := 40, 60
	if *long {
		messages, kills = 300, 500
	}
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		s := newSMS(t)
		g := open(t, documented(t, "aggregator.toml", s.URL))
		dice := rand.New(rand.NewPCG(12, 500)) //nolint:gosec // repeatable
		var kill context.CancelFunc
		s.say(func(w http.ResponseWriter, _ *http.Request) {
			if kill != nil && dice.IntN(2) == 0 {
				kill() // it has the message, and we never learn of it
			}
			_, _ = io.WriteString(w, `{"result":{"code":"0","id":1}}`)
		})
		confirmed := map[string]bool{}
		for i := range messages {
			if i%10 == 0 {
				o.clock.Advance(11 * time.Minute)
			}
			session := o.request()
			if i%4 == 3 { // asked for, but never confirmed
				require.Error(t, func() error {
					_, err := o.SendLink(t.Context(), o.dispatcher, notify.Order{SessionID: session.ID, LastFour: "0000", Key: "k"})
					return err
				}())
				continue
			}
			require.NoError(t, o.send(session, "k"))
			confirmed[o.deliveries(session)[0].ID] = true
		}
		for range kills {
			ctx, cancel := context.WithCancel(t.Context())
			kill = cancel
			if dice.IntN(3) == 0 {
				cancel() // before it took anything
			}
			_, _ = o.another(notify.Channels{SMS: g}).Deliver(ctx)
			cancel()
			o.clock.Advance(20 * time.Second) // the process that takes over
		}
		kill = nil
		for range 10 {
			_, err := o.another(notify.Channels{SMS: g}).Deliver(t.Context())
			require.NoError(t, err)
			o.clock.Advance(5 * time.Minute)
		}
		arrived := map[string]int{}
		for _, r := range s.requests() {
			var body struct {
				Key string `json:"client_id"`
			}
			require.NoError(t, json.Unmarshal([]byte(r.body), &body))
			require.True(t, confirmed[body.Key], "nobody confirmed it")
			arrived[body.Key]++
		}
		require.Len(t, arrived, len(confirmed), "each reaches the gateway")
		twice := 0
		for _, n := range arrived {
			if n > 1 {
				twice++
			}
		}
		require.Positive(t, twice, "some kills fell between the gateway's taking and our note")
	})
}
