package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/problem"
)

func TestMain(m *testing.M) {
	// GORM keeps one goroutine for each database that was ever opened.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

type silent struct{}

func (silent) Ring(string) {}

// carrier is a gateway that answers as the test says and keeps what it saw.
type carrier struct {
	mu     sync.Mutex
	answer func(ctx context.Context, m notify.Message) error
	seen   []notify.Message
}

func (c *carrier) Send(ctx context.Context, m notify.Message) (string, error) {
	c.mu.Lock()
	c.seen = append(c.seen, m)
	answer := c.answer
	c.mu.Unlock()
	if answer == nil {
		return "", nil
	}
	return "", answer(ctx, m)
}

func (c *carrier) say(answer func(ctx context.Context, m notify.Message) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *carrier) messages() []notify.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]notify.Message(nil), c.seen...)
}

// office is the room with what it stands on, an agency and its people.
type office struct {
	*notify.Notify
	t          *testing.T
	db         *database.DB
	clock      *dbtest.Clock
	journal    *journal.Journal
	people     *identity.Identity
	cases      *cases.Cases
	carrier    *carrier
	agency     *identity.Agency
	dispatcher policy.Actor
	supervisor policy.Actor
}

const (
	number    = "+819012345678"
	publicURL = "https://genba.fukushima.example"
)

func each(t *testing.T, fn func(t *testing.T, o *office)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db *database.DB) { fn(t, newOffice(t, db)) })
}

func newOffice(t *testing.T, db *database.DB) *office {
	t.Helper()
	o := &office{t: t, db: db, clock: dbtest.ClockOf(db), carrier: &carrier{}}
	keys, err := blob.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	require.NoError(t, err)
	signer, err := keys.Ensure("server")
	require.NoError(t, err)
	o.journal = journal.New(db, silent{})
	o.people, err = identity.New(db, o.journal)
	require.NoError(t, err)
	o.cases = cases.New(db, o.journal, o.people, identity.NewBearers(signer, db.Clock), keys)
	o.Notify = o.another(o.carrier)
	o.agency, err = o.people.CreateAgency(t.Context(), identity.NewAgency{Code: "fukushima", NameJa: "福島県警察", NameEn: "Fukushima Prefectural Police"})
	require.NoError(t, err)
	o.dispatcher, o.supervisor = o.register("sato", policy.Dispatcher), o.register("kato", policy.Supervisor)
	return o
}

// another is a second process with the same database.
func (o *office) another(c notify.Channel) *notify.Notify {
	return notify.New(o.db, o.journal, o.cases, o.people, c, func() string { return publicURL }, slog.New(slog.DiscardHandler))
}

func (o *office) register(name string, role policy.Role) policy.Actor {
	o.t.Helper()
	u, err := o.people.Register(o.t.Context(), policy.SystemActor(), o.agency.ID, identity.NewUser{UserName: name, DisplayName: name, Role: role, Password: "correct horse battery", PasswordReason: "test"})
	require.NoError(o.t, err)
	return policy.Actor{Kind: policy.User, ID: u.ID, Agency: o.agency.ID, Role: role}
}

// request asks for a video report in a case of its own.
func (o *office) request(change ...func(*cases.Request)) *cases.Session {
	o.t.Helper()
	k, err := o.cases.Open(o.t.Context(), o.dispatcher, cases.NewCase{Place: "国道4号"})
	require.NoError(o.t, err)
	return o.requestIn(k.ID, change...)
}

func (o *office) requestIn(caseID string, change ...func(*cases.Request)) *cases.Session {
	o.t.Helper()
	in := cases.Request{
		CaseID: caseID, Asked: cases.PhotoMode, Need: "事故の様子", Number: "09012345678",
		Checks: cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true},
	}
	for _, c := range change {
		c(&in)
	}
	s, _, err := o.cases.RequestVideo(o.t.Context(), o.dispatcher, in)
	require.NoError(o.t, err)
	return s
}

func (o *office) send(s *cases.Session, key string) error {
	last := "5678"
	if s.Email != "" && s.Number == "" {
		last = s.Email
	}
	_, err := o.SendLink(o.t.Context(), o.dispatcher, notify.Order{SessionID: s.ID, LastFour: last, Key: key})
	return err
}

// deliver sends what is due and tells how many were tried.
func (o *office) deliver() int {
	o.t.Helper()
	n, err := o.Deliver(o.t.Context())
	require.NoError(o.t, err)
	return n
}

func (o *office) deliveries(s *cases.Session) []*notify.Delivery {
	o.t.Helper()
	found, err := o.Deliveries(o.t.Context(), o.agency.ID, []string{s.ID})
	require.NoError(o.t, err)
	return found[s.ID]
}

func (o *office) session(s *cases.Session) *cases.Session {
	o.t.Helper()
	now, err := o.cases.Session(o.t.Context(), o.agency.ID, s.ID)
	require.NoError(o.t, err)
	return now
}

func (o *office) entries(types ...journal.Type) []journal.Row {
	o.t.Helper()
	rows, err := o.journal.After(o.t.Context(), o.agency.ID, 0, journal.Filter{Types: types}, 1000)
	require.NoError(o.t, err)
	return rows
}

func TestSendLink(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		t.Run("one confirmation sends one message", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "a"))
			require.Equal(t, 1, o.deliver())
			sent := o.carrier.messages()
			require.Len(t, sent, 1)
			require.Equal(t, notify.SMS, sent[0].Channel)
			require.Equal(t, number, sent[0].To)
			d := o.deliveries(s)
			require.Len(t, d, 1)
			require.Equal(t, notify.Sent, d[0].Status)
			require.Equal(t, sent[0].Key, d[0].ID)
			require.Equal(t, o.db.Now(), d[0].SentAt.UTC())
			require.Equal(t, cases.LinkSent, o.session(s).State)
			require.Len(t, o.entries(journal.DeliveryQueued), 1)
			require.Len(t, o.entries(journal.DeliverySent), 1)
			require.Zero(t, o.deliver(), "and never again")
		})

		t.Run("repeated with its key it sends nothing more", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "same"))
			before := o.deliveries(s)
			for range 3 {
				require.NoError(t, o.send(s, "same"))
			}
			require.Equal(t, before, o.deliveries(s))
			links, err := o.cases.Links(t.Context(), o.agency.ID, []string{s.ID})
			require.NoError(t, err)
			require.Len(t, links[s.ID], 1, "and issues no other link")
		})

		t.Run("two at once with one key send once", func(t *testing.T) {
			s := o.request()
			var wait sync.WaitGroup
			failed := make(chan error, 8)
			for range cap(failed) {
				wait.Go(func() { failed <- o.send(s, "same") })
			}
			wait.Wait()
			close(failed)
			for err := range failed {
				require.NoError(t, err)
			}
			require.Len(t, o.deliveries(s), 1)
		})

		t.Run("sent anew it carries another link, and the first is dead", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "1"))
			o.deliver()
			first := secretOf(t, o.carrier.messages())
			require.NoError(t, o.send(s, "2"))
			o.deliver()
			second := secretOf(t, o.carrier.messages())
			require.NotEqual(t, first, second)
			_, err := o.cases.Terms(t.Context(), first)
			require.True(t, problem.Is(err, problem.LinkUnusable))
			_, err = o.cases.Terms(t.Context(), second)
			require.NoError(t, err)
		})

		t.Run("a key that cannot be one is refused", func(t *testing.T) {
			s := o.request()
			for _, key := range []string{"", strings.Repeat("x", 101), "a\x00b", "a\nb", "\xff"} {
				require.True(t, problem.Is(o.send(s, key), problem.BadInput), "%q", key)
			}
			require.Empty(t, o.deliveries(s))
		})

		t.Run("without the right digits nothing is queued", func(t *testing.T) {
			s := o.request()
			_, err := o.SendLink(t.Context(), o.dispatcher, notify.Order{SessionID: s.ID, LastFour: "5679", Key: "a"})
			require.True(t, problem.Is(err, problem.DigitsMismatch))
			require.Empty(t, o.deliveries(s))
			require.Equal(t, cases.Requested, o.session(s).State)
		})

		t.Run("by e-mail where SMS cannot reach the caller", func(t *testing.T) {
			s := o.request(func(in *cases.Request) {
				in.Number, in.Email, in.EmailReason, in.Language = "", "caller@example.jp", "固定電話", "en"
			})
			require.NoError(t, o.send(s, "a"))
			o.deliver()
			sent := o.carrier.messages()
			last := sent[len(sent)-1]
			require.Equal(t, notify.Email, last.Channel)
			require.Equal(t, "caller@example.jp", last.To)
			require.True(t, strings.HasPrefix(last.Body, "Fukushima Prefectural Police: "))
		})
	})
}

func secretOf(t *testing.T, sent []notify.Message) string {
	t.Helper()
	require.NotEmpty(t, sent)
	_, secret, ok := strings.Cut(sent[len(sent)-1].Body, "/v#")
	require.True(t, ok)
	return secret
}

func TestText(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		long, err := o.people.CreateAgency(t.Context(), identity.NewAgency{Code: "long", NameJa: strings.Repeat("長", 66), NameEn: strings.Repeat("Long ", 40)})
		require.NoError(t, err)
		for _, agency := range []*identity.Agency{o.agency, long} {
			for _, language := range []string{"ja", "en"} {
				t.Run(agency.Code+" "+language, func(t *testing.T) {
					actor := o.dispatcher
					actor.Agency = agency.ID
					k, err := o.cases.Open(t.Context(), actor, cases.NewCase{Place: "秘密の場所"})
					require.NoError(t, err)
					s, _, err := o.cases.RequestVideo(t.Context(), actor, cases.Request{
						CaseID: k.ID, Asked: cases.PhotoMode, Need: "秘密の理由", Number: "09012345678", Language: language,
						Checks: cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true},
					})
					require.NoError(t, err)
					_, err = o.SendLink(t.Context(), actor, notify.Order{SessionID: s.ID, LastFour: "5678", Key: "a"})
					require.NoError(t, err)
					o.deliver()
					_, err = o.ReportMisdirected(t.Context(), actor, s.ID)
					require.NoError(t, err)
					o.deliver()
					sent := o.carrier.messages()
					link, correction := sent[len(sent)-2].Body, sent[len(sent)-1].Body
					lines := strings.Split(link, "\n")
					require.Len(t, lines, 2)
					require.Regexp(t, `^https://genba\.fukushima\.example/v#[0-9A-Za-z]{22}$`, lines[1], "the link stands on a line of its own")
					require.NotContains(t, correction, "://")
					for _, body := range []string{link, correction} {
						require.LessOrEqual(t, utf8.RuneCountInString(body), 134, body)
						name := map[string]string{"ja": agency.NameJa, "en": agency.NameEn}[language]
						require.True(t, strings.HasPrefix(body, string([]rune(name)[:5])), "it says who sends it")
						for _, fact := range []string{"秘密", k.Number, "5678"} {
							require.NotContains(t, body, fact)
						}
					}
				})
			}
		}
	})
}

func TestBoundsOfSending(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		t.Run("three a case and number in ten minutes", func(t *testing.T) {
			s := o.request()
			for i := range 3 {
				require.NoError(t, o.send(s, fmt.Sprint(i)))
			}
			require.True(t, problem.Is(o.send(s, "4"), problem.TooManySends))
			again := o.requestIn(s.CaseID)
			require.True(t, problem.Is(o.send(again, "5"), problem.TooManySends), "another request in the case is no way around")
			require.NoError(t, o.send(o.request(), "6"), "another case is not concerned")
			require.NoError(t, o.send(o.requestIn(s.CaseID, func(in *cases.Request) { in.Number = "08011115678" }), "7"), "nor another number")
			require.Len(t, o.deliveries(s), 3)
			o.clock.Advance(10*time.Minute - time.Microsecond)
			require.True(t, problem.Is(o.send(s, "8"), problem.TooManySends))
			o.clock.Advance(time.Microsecond)
			require.NoError(t, o.send(s, "9"))
		})

		t.Run("thirty a person in ten minutes", func(t *testing.T) {
			o.clock.Advance(10 * time.Minute)
			for i := range 10 {
				s := o.request()
				for k := range 3 {
					require.NoError(t, o.send(s, fmt.Sprint(i, k)))
				}
			}
			s := o.request()
			require.True(t, problem.Is(o.send(s, "more"), problem.TooManySends))
			require.Equal(t, cases.Requested, o.session(s).State, "no link was issued")
			colleague := o.register("kimura", policy.Dispatcher)
			k, err := o.cases.Open(t.Context(), colleague, cases.NewCase{})
			require.NoError(t, err)
			mine := o.dispatcher
			o.dispatcher = colleague
			defer func() { o.dispatcher = mine }()
			require.NoError(t, o.send(o.requestIn(k.ID), "a"), "others are not concerned")
		})
	})
}

var errBusy = errors.New("the gateway is busy")

func TestRetries(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		t.Run("a busy gateway is asked again, later each time, with one key", func(t *testing.T) {
			s := o.request()
			o.carrier.say(func(context.Context, notify.Message) error { return errBusy })
			require.NoError(t, o.send(s, "a"))
			require.Equal(t, 1, o.deliver())
			for _, pause := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second} {
				require.Equal(t, notify.Queued, o.deliveries(s)[0].Status)
				o.clock.Advance(pause - time.Microsecond)
				require.Zero(t, o.deliver(), "not before %s", pause)
				o.clock.Advance(time.Microsecond)
				require.Equal(t, 1, o.deliver())
			}
			o.carrier.say(nil)
			o.clock.Advance(32 * time.Second)
			require.Equal(t, 1, o.deliver())
			d := o.deliveries(s)[0]
			require.Equal(t, notify.Sent, d.Status)
			require.Equal(t, 5, d.Attempts)
			for _, m := range o.carrier.messages() {
				require.Equal(t, d.ID, m.Key)
				require.Equal(t, o.carrier.messages()[0], m)
			}
			require.Empty(t, o.session(s).Stall)
		})

		t.Run("after six it has failed, and the dispatcher sees it", func(t *testing.T) {
			s := o.request()
			o.carrier.say(func(context.Context, notify.Message) error { return context.DeadlineExceeded })
			require.NoError(t, o.send(s, "a"))
			for range 6 {
				require.Equal(t, 1, o.deliver())
				o.clock.Advance(5 * time.Minute)
			}
			require.Zero(t, o.deliver())
			d := o.deliveries(s)[0]
			require.Equal(t, notify.Failed, d.Status)
			require.Equal(t, "TIMEOUT", d.Failure)
			require.Equal(t, cases.SMSUndelivered, o.session(s).Stall)
		})

		t.Run("what cannot be delivered is not tried again", func(t *testing.T) {
			s := o.request()
			o.carrier.say(func(context.Context, notify.Message) error {
				return fmt.Errorf("no such subscriber: %w", notify.ErrPermanent)
			})
			require.NoError(t, o.send(s, "a"))
			require.Equal(t, 1, o.deliver())
			d := o.deliveries(s)[0]
			require.Equal(t, notify.Failed, d.Status)
			require.Equal(t, "REFUSED", d.Failure)
			require.Equal(t, cases.SMSUndelivered, o.session(s).Stall)
			require.Equal(t, cases.LinkSent, o.session(s).State)
			o.clock.Advance(time.Hour)
			require.Zero(t, o.deliver())
			require.Len(t, o.entries(journal.DeliveryFailed), 2)
		})

		t.Run("sending anew clears the stall", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "a"))
			o.deliver()
			require.Equal(t, cases.SMSUndelivered, o.session(s).Stall)
			o.carrier.say(nil)
			require.NoError(t, o.send(s, "b"))
			o.deliver()
			require.Empty(t, o.session(s).Stall)
		})

		t.Run("without a channel it has failed at once", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "a"))
			none := o.another(nil)
			n, err := none.Deliver(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, "NO_CHANNEL", o.deliveries(s)[0].Failure)
		})
	})
}

func TestDeadLinkIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		for name, end := range map[string]func(s *cases.Session) error{
			"ended": func(s *cases.Session) error {
				_, err := o.cases.End(t.Context(), o.dispatcher, s.ID, cases.Done)
				return err
			},
			"revoked":  func(s *cases.Session) error { _, err := o.cases.Revoke(t.Context(), o.dispatcher, s.ID); return err },
			"replaced": func(s *cases.Session) error { return o.send(s, "b") },
		} {
			t.Run(name, func(t *testing.T) {
				s := o.request()
				require.NoError(t, o.send(s, "a"))
				queued := o.deliveries(s)[0]
				require.NoError(t, end(s))
				o.deliver()
				for _, m := range o.carrier.messages() {
					require.NotEqual(t, queued.ID, m.Key)
				}
				require.Equal(t, notify.Cancelled, o.deliveries(s)[0].Status)
				require.Empty(t, o.session(s).Stall)
			})
		}

		t.Run("what a sent message said dies with its link", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "a"))
			o.deliver()
			body := func() string {
				entries, err := o.Outbox(t.Context())
				require.NoError(t, err)
				for _, e := range entries {
					if e.ID == o.deliveries(s)[0].ID {
						return e.Body
					}
				}
				require.FailNow(t, "not in the outbox")
				return ""
			}
			require.Contains(t, body(), "/v#")
			_, err := o.cases.End(t.Context(), o.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			require.Empty(t, body())
			_, err = o.cases.LinkKey(*o.deliveries(s)[0].LinkID)
			require.ErrorIs(t, err, blob.ErrNoKey)
		})
	})
}

func TestReportMisdirected(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.request()
		_, err := o.ReportMisdirected(t.Context(), o.dispatcher, s.ID)
		require.True(t, problem.Is(err, problem.SessionNotOpen), "nothing was sent yet")
		require.NoError(t, o.send(s, "a"))
		o.deliver()
		secret := secretOf(t, o.carrier.messages())

		now, err := o.ReportMisdirected(t.Context(), o.dispatcher, s.ID)
		require.NoError(t, err)
		require.True(t, now.Misdirected)
		require.Equal(t, cases.Revoked, now.State)
		_, err = o.cases.Terms(t.Context(), secret)
		require.True(t, problem.Is(err, problem.LinkUnusable))
		require.Len(t, o.entries(journal.ContactTaskOpened), 1)

		require.Equal(t, 1, o.deliver(), "whoever got it is told, though the link is dead")
		sent := o.carrier.messages()
		require.Equal(t, number, sent[len(sent)-1].To)
		require.NotContains(t, sent[len(sent)-1].Body, "/v#")
		require.Contains(t, sent[len(sent)-1].Body, "誤って")
		require.Equal(t, notify.Correction, o.deliveries(s)[1].Purpose)
		require.Equal(t, notify.Sent, o.deliveries(s)[1].Status)

		for range 3 {
			_, err = o.ReportMisdirected(t.Context(), o.supervisor, s.ID)
			require.NoError(t, err)
		}
		require.Zero(t, o.deliver(), "told once")
		require.Len(t, o.deliveries(s), 2)
		require.Len(t, o.entries(journal.ContactTaskOpened), 1)
		require.True(t, problem.Is(o.send(s, "again"), problem.SessionEnded))
	})
}

// A process that dies between taking a message and noting its fate: another one
// sends it again with the same key, so that the gateway sends it once.
func TestKilledBetweenClaimAndSettle(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.request()
		require.NoError(t, o.send(s, "a"))
		ctx, kill := context.WithCancel(t.Context())
		o.carrier.say(func(context.Context, notify.Message) error { kill(); return nil }) // the gateway took it
		_, err := o.Deliver(ctx)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, notify.Queued, o.deliveries(s)[0].Status)
		o.carrier.say(nil)
		after := o.another(o.carrier)
		n, err := after.Deliver(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "the first attempt may still be under way")
		o.clock.Advance(time.Minute)
		n, err = after.Deliver(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		sent := o.carrier.messages()
		require.Len(t, sent, 2)
		require.Equal(t, sent[0], sent[1])
		require.Equal(t, notify.Sent, o.deliveries(s)[0].Status)
	})
}

func TestWorkersNeverSendTheSameAttempt(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const messages = 20
		for i := range messages {
			require.NoError(t, o.send(o.request(), fmt.Sprint(i)))
		}
		var workers sync.WaitGroup
		failed := make(chan error, 4)
		for range cap(failed) {
			worker := o.another(o.carrier)
			workers.Go(func() {
				for {
					n, err := worker.Deliver(t.Context())
					if n == 0 || err != nil {
						failed <- err
						return
					}
				}
			})
		}
		workers.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		for o.deliver() > 0 { // one that was looked at by two and taken by none
		}
		keys := map[string]int{}
		for _, m := range o.carrier.messages() {
			keys[m.Key]++
		}
		require.Len(t, keys, messages)
		for key, n := range keys {
			require.Equal(t, 1, n, key)
		}
		require.Len(t, o.entries(journal.DeliverySent), messages)
	})
}

func TestRunSendsAtOnceAndStops(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		sent := make(chan notify.Message, 1)
		o.carrier.say(func(_ context.Context, m notify.Message) error { sent <- m; return nil })
		go func() { defer close(ended); o.Run(ctx) }()
		require.NoError(t, o.send(o.request(), "a"))
		select {
		case m := <-sent:
			require.Equal(t, number, m.To)
		case <-time.After(10 * time.Second):
			require.Fail(t, "nothing was sent")
		}
		stop()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			require.Fail(t, "it did not stop")
		}
	})
}

// With the case's facts, addresses and texts of its messages go.
func TestErasureTakesAddresses(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.request()
		require.NoError(t, o.send(s, "a"))
		o.deliver()
		_, err := o.cases.End(t.Context(), o.dispatcher, s.ID, cases.Done)
		require.NoError(t, err)
		require.NoError(t, o.db.InTx(t.Context(), func(tx *database.Tx) error { return o.cases.Erase(tx, s.CaseID) }))
		require.Empty(t, o.deliveries(s)[0].Address)
		var sealed int64
		require.NoError(t, o.db.Read(t.Context()).Model(&notify.Delivery{}).Where("session_id = ? AND body_sealed IS NOT NULL", s.ID).Count(&sealed).Error)
		require.Zero(t, sealed)
	})
}
