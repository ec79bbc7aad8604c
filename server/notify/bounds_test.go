package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/problem"
)

// A supervisor may allow more messages to a destination, on record (T12).
func TestSupervisorAllowsMoreMessages(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.request()
		for i := range 3 {
			require.NoError(t, o.send(s, fmt.Sprint(i)))
		}
		require.True(t, problem.Is(o.send(s, "4"), problem.TooManySends))
		_, err := o.AllowSends(t.Context(), o.supervisor, s.ID, " ")
		require.True(t, problem.Is(err, problem.ReasonMissing))
		_, err = o.AllowSends(t.Context(), o.supervisor, s.ID, "電波が悪い")
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, o.send(s, fmt.Sprint("more", i)))
		}
		require.True(t, problem.Is(o.send(s, "7"), problem.TooManySends), "three more, and no others")
		elsewhere := o.requestIn(s.CaseID, func(in *cases.Request) { in.Number = "08011115678" })
		for i := range 3 {
			require.NoError(t, o.send(elsewhere, fmt.Sprint("e", i)))
		}
		require.True(t, problem.Is(o.send(elsewhere, "e4"), problem.TooManySends), "it is for that destination")
		rows := o.entries(journal.SendsAllowed)
		require.Len(t, rows, 1)
		require.JSONEq(t, `{"reason":"電波が悪い","more":3}`, string(rows[0].Payload))
		require.Equal(t, o.supervisor.ID, rows[0].ActorID)
	})
}

// The cap counts who confirmed, not whose video report it is.
func TestCapIsTheSendersOwn(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		for i := range 10 {
			s := o.request()
			for k := range 3 {
				_, err := o.SendLink(t.Context(), o.supervisor, notify.Order{SessionID: s.ID, LastFour: "5678", Key: fmt.Sprint(i, k)})
				require.NoError(t, err)
			}
		}
		s := o.request()
		_, err := o.SendLink(t.Context(), o.supervisor, notify.Order{SessionID: s.ID, LastFour: "5678", Key: "x"})
		require.True(t, problem.Is(err, problem.TooManySends))
		require.NoError(t, o.send(s, "y"), "the dispatcher sent none of them")
	})
}

func TestByEmailAfterSMSDidNotArrive(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		change := func(s *cases.Session, to cases.Destination) error {
			_, _, err := o.ChangeDestination(t.Context(), o.dispatcher, s.ID, to)
			return err
		}
		byMail := cases.Destination{Email: "caller@example.jp", EmailReason: "SMSが届かない"}
		s := o.request()
		require.NoError(t, o.send(s, "sms"))
		o.deliver()
		first := secretOf(t, o.carrier.messages())
		require.NoError(t, change(s, byMail))
		_, err := o.SendLink(t.Context(), o.dispatcher, notify.Order{SessionID: s.ID, LastFour: "caller@example.jp", Key: "mail"})
		require.NoError(t, err)
		o.deliver()
		sent := o.carrier.messages()
		require.Equal(t, notify.Email, sent[len(sent)-1].Channel)
		require.Equal(t, "福島県警察からのお知らせ", sent[len(sent)-1].Subject)
		_, err = o.cases.Terms(t.Context(), first)
		require.True(t, problem.Is(err, problem.LinkUnusable), "the SMS's link is dead")
		links, err := o.cases.Links(t.Context(), o.agency.ID, []string{s.ID})
		require.NoError(t, err)
		live := 0
		for _, l := range links[s.ID] {
			if l.State == cases.LinkLive {
				live++
			}
		}
		require.Equal(t, 1, live, "one pair of proof words")

		require.True(t, problem.Is(change(s, cases.Destination{Email: "other@example.jp", EmailReason: "x"}), problem.DestinationFixed), "that would be a mis-sent one")
		require.True(t, problem.Is(change(s, cases.Destination{Number: "08011112222"}), problem.DestinationFixed))
		require.NoError(t, change(s, cases.Destination{}), "back to SMS")
		require.NoError(t, change(s, byMail))

		t.Run("mis-sent: the correction goes where the link went, not where the next would go", func(t *testing.T) {
			s := o.request()
			require.NoError(t, o.send(s, "a"))
			o.deliver()
			require.NoError(t, change(s, byMail))
			_, err := o.ReportMisdirected(t.Context(), o.dispatcher, s.ID)
			require.NoError(t, err)
			o.deliver()
			sent := o.carrier.messages()
			require.Equal(t, number, sent[len(sent)-1].To)
			tasks, err := o.cases.ContactTasks(t.Context(), o.agency.ID, []string{s.ID})
			require.NoError(t, err)
			require.Equal(t, number, tasks[s.ID][0].Number)
			require.Empty(t, tasks[s.ID][0].Email)
		})
		t.Run("mis-sent by e-mail: the address is the one to write to", func(t *testing.T) {
			_, err := o.ReportMisdirected(t.Context(), o.dispatcher, s.ID)
			require.NoError(t, err)
			o.deliver()
			sent := o.carrier.messages()
			last := sent[len(sent)-1]
			require.Equal(t, notify.Email, last.Channel)
			require.Equal(t, "caller@example.jp", last.To)
			require.True(t, strings.HasPrefix(last.Subject, "福島県警察からのおわび"))
			tasks, err := o.cases.ContactTasks(t.Context(), o.agency.ID, []string{s.ID})
			require.NoError(t, err)
			require.Equal(t, "caller@example.jp", tasks[s.ID][0].Email)
			require.Empty(t, tasks[s.ID][0].Number)
		})
		t.Run("what never left may go to another number", func(t *testing.T) {
			s := o.request()
			o.carrier.say(func(_ ctxT, _ notify.Message) error { return fmt.Errorf("no such number: %w", notify.ErrPermanent) })
			require.NoError(t, o.send(s, "a"))
			o.deliver()
			o.carrier.say(nil)
			require.NoError(t, change(s, cases.Destination{Number: "08011112222"}))
			o.clock.Advance(time.Second)
		})
	})
}

// T12: an agency may set less than the three to a number, thirty a person and
// three hundred in all.
func TestBoundsOfSendingAreSettings(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		set := func(number, user, agency int) {
			t.Helper()
			s := identity.DefaultSettings
			s.SendsPerNumber, s.SendsPerUser, s.SendsPerAgency = number, user, agency
			require.NoError(t, o.people.SetSettings(t.Context(), policy.SystemActor(), o.dispatcher.Agency, s))
		}
		fresh := func() { o.clock.Advance(10 * time.Minute) }
		set(1, 30, 300)
		s := o.request()
		require.NoError(t, o.send(s, "1"))
		require.True(t, problem.Is(o.send(s, "2"), problem.TooManySends))
		fresh()
		set(3, 2, 300)
		require.NoError(t, o.send(o.request(), "3"))
		require.NoError(t, o.send(o.request(), "4"))
		require.True(t, problem.Is(o.send(o.request(), "5"), problem.TooManySends))
		fresh()
		set(3, 30, 1)
		require.NoError(t, o.send(o.request(), "6"))
		require.True(t, problem.Is(o.send(o.request(), "7"), problem.TooManySends))
	})
}
