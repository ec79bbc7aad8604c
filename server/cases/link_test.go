package cases_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func TestReadingChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, issued := c.sent(t)
		before := c.dump(t)

		// What a machine that opens links can reach: previews, mail scanners, filters.
		for i := range 500 {
			from := identity.WithAddress(ctx, fmt.Sprintf("198.51.100.%d", i%250))
			terms, err := c.rooms.Terms(from, issued.Secret)
			require.NoError(t, err)
			require.Equal(t, issued.Link.ProofWords(), terms.Proof)
			require.Equal(t, "en", terms.Language)
			require.Len(t, terms.Terms, 2)
			require.Len(t, terms.Terms[0].Items, 4)
			_, err = c.rooms.Terms(from, strings.Repeat("a", 22))
			refused(t, err, problem.LinkUnusable)
			_, err = c.rooms.Recognise(from, "no such token")
			refused(t, err, problem.Unauthenticated)
		}
		// What a console reads.
		for _, read := range []func() error{
			func() error { _, err := c.rooms.Session(ctx, c.agency, s.ID); return err },
			func() error { _, err := c.rooms.Sessions(ctx, c.agency, []string{s.ID}); return err },
			func() error { _, err := c.rooms.SessionsOf(ctx, c.agency, []string{s.CaseID}); return err },
			func() error {
				_, err := c.rooms.List(ctx, c.agency, cases.CaseFilter{}, cases.ChangedNewest, nil, 10)
				return err
			},
			func() error {
				_, err := c.rooms.ListSessions(ctx, c.agency, cases.SessionFilter{}, cases.RequestedNewest, nil, 10)
				return err
			},
			func() error { _, err := c.rooms.Cases(ctx, c.agency, []string{s.CaseID}); return err },
			func() error { _, err := c.rooms.Links(ctx, c.agency, []string{s.ID}); return err },
			func() error { _, err := c.rooms.Phones(ctx, c.agency, []string{s.ID}); return err },
			func() error { _, err := c.rooms.Consents(ctx, c.agency, []string{s.ID}); return err },
			func() error { _, err := c.rooms.Positions(ctx, c.agency, s.ID, 0, 10); return err },
			func() error { _, err := c.rooms.LastPositions(ctx, c.agency, []string{s.ID}); return err },
			func() error { _, err := c.rooms.MovedSince(ctx, c.agency, 0); return err },
			func() error { _, err := c.rooms.VerifyPositions(ctx, s); return err },
			func() error { _, err := c.rooms.Code(issued.Link); return err },
			func() error { _, err := c.rooms.Forgotten(ctx, db.Now().Add(time.Hour), 10); return err },
			func() error { _, err := c.rooms.ExpireDue(ctx); return err },
		} {
			require.NoError(t, read())
		}
		require.Equal(t, before, c.dump(t))
		require.Zero(t, c.link(t, issued).Used)

		p := c.join(t, issued.Secret)
		_, err := c.rooms.Welcome(ctx, p.actor)
		require.NoError(t, err)
		require.Zero(t, c.link(t, issued).Used, "a consent alone spends nothing")
		require.NoError(t, c.report(p), "the caller then connects")
		require.Equal(t, 1, c.link(t, issued).Used)
	})
}

func TestOpenLink(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, issued := c.sent(t)

		t.Run("the first tap is the stage, later ones are welcome and note nothing", func(t *testing.T) {
			tapped := db.Now()
			for range 20 { // also whatever scanner runs scripts
				_, nonce, err := c.rooms.OpenLink(ctx, issued.Secret)
				require.NoError(t, err)
				require.NotEmpty(t, nonce)
				dbtest.ClockOf(db).Advance(time.Second)
			}
			now := c.session(t, s.ID)
			require.Equal(t, cases.Opened, now.State)
			require.Equal(t, tapped, now.OpenedAt.UTC())
			require.Len(t, c.journaled(t, s.ID, journal.LinkOpened), 1)
			require.Zero(t, c.link(t, issued).Used)
		})
		t.Run("only the newest nonces are kept", func(t *testing.T) {
			var nonces int64
			require.NoError(t, db.Read(ctx).Model(&cases.Nonce{}).Count(&nonces).Error)
			require.LessOrEqual(t, nonces, int64(8))
		})
		t.Run("trouble and a false phrase are shown to the centre once", func(t *testing.T) {
			for range 3 {
				require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.CameraDenied))
			}
			require.Equal(t, cases.CameraDenied, c.session(t, s.ID).Stall)
			require.Len(t, c.journaled(t, s.ID, journal.SessionStalled), 1)
			require.NoError(t, c.rooms.Mismatch(ctx, issued.Secret))
			require.Equal(t, cases.ProofMismatch, c.session(t, s.ID).Stall)
			require.Len(t, c.journaled(t, s.ID, journal.ProofMismatched), 1)
		})
		t.Run("a page cannot claim what only the server knows", func(t *testing.T) {
			for _, why := range []cases.Stall{cases.SMSUndelivered, cases.NotOpened, cases.CodeFailed, cases.RefusedConsent, cases.ProofMismatch, "NONSENSE", ""} {
				refused(t, c.rooms.Trouble(ctx, issued.Secret, why), problem.BadInput)
			}
		})
	})
}

func TestIssueLink(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		k := c.open(t)
		nothingIssued := func(t *testing.T) {
			var links int64
			require.NoError(t, db.Read(ctx).Model(&cases.Link{}).Count(&links).Error)
			require.Zero(t, links)
			keys, err := c.keys.List("link/")
			require.NoError(t, err)
			require.Empty(t, keys)
		}
		ask := func(t *testing.T, change func(*cases.Request)) *cases.Session {
			in := cases.Request{CaseID: k.ID, Asked: cases.PhotoMode, Need: "見る", Number: "090-1234-5678", Checks: allChecks}
			change(&in)
			s, _, err := c.rooms.RequestVideo(ctx, c.dispatcher, in)
			require.NoError(t, err)
			return s
		}

		for name, change := range map[string]func(*cases.Checks){
			"the caller's safety":     func(k *cases.Checks) { k.Safe = false },
			"a camera phone":          func(k *cases.Checks) { k.CameraPhone = false },
			"the notified number":     func(k *cases.Checks) { k.NumberNotified = false },
			"the four items, by word": func(k *cases.Checks) { k.Explained = false },
		} {
			t.Run("refused without "+name, func(t *testing.T) {
				lacking := allChecks
				change(&lacking)
				s := ask(t, func(in *cases.Request) { in.Checks = lacking })
				_, err := c.issue(c.dispatcher, s.ID, "5678", nil)
				refused(t, err, problem.CheckMissing)
				s = ask(t, func(*cases.Request) {})
				_, err = c.issue(c.dispatcher, s.ID, "5678", &lacking)
				refused(t, err, problem.CheckMissing)
				require.Equal(t, allChecks, c.session(t, s.ID).Checks, "a refusal records nothing")
				nothingIssued(t)
			})
		}
		t.Run("refused when the supervisor is told late without a reason", func(t *testing.T) {
			late := allChecks
			late.SupervisorTold = false
			s := ask(t, func(in *cases.Request) { in.Checks = late })
			_, err := c.issue(c.dispatcher, s.ID, "5678", nil)
			refused(t, err, problem.ReasonMissing)
			nothingIssued(t)
		})
		t.Run("refused unless the last four digits are typed again", func(t *testing.T) {
			s := ask(t, func(*cases.Request) {})
			for _, typed := range []string{"", "5679", "678", "45678", "５６７８", "090-1234-5678", "5678 "} {
				_, err := c.issue(c.dispatcher, s.ID, typed, nil)
				refused(t, err, problem.DigitsMismatch)
			}
			nothingIssued(t)
		})
		t.Run("refused to another dispatcher, and not found for another agency", func(t *testing.T) {
			s := ask(t, func(*cases.Request) {})
			_, err := c.issue(c.colleague, s.ID, "5678", nil)
			refused(t, err, problem.Forbidden)
			_, err = c.issue(c.foreigner, s.ID, "5678", nil)
			refused(t, err, problem.NotFound)
			_, err = c.issue(c.dispatcher, identity.NewID(), "5678", nil)
			refused(t, err, problem.NotFound)
			nothingIssued(t)
		})
		t.Run("refused once the session is over", func(t *testing.T) {
			s := ask(t, func(*cases.Request) {})
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			_, err = c.issue(c.dispatcher, s.ID, "5678", nil)
			refused(t, err, problem.SessionEnded)
			nothingIssued(t)
		})
		t.Run("ok with a late report and its reason", func(t *testing.T) {
			late := allChecks
			late.SupervisorTold = false
			s := ask(t, func(in *cases.Request) { in.Checks, in.LateReason = late, "緊急" })
			_, err := c.issue(c.dispatcher, s.ID, "5678", nil)
			require.NoError(t, err)
			require.Nil(t, c.session(t, s.ID).ReportedAt)
			require.Equal(t, "緊急", c.journaled(t, s.ID, journal.AdvanceReported)[0]["lateReason"])
		})
		t.Run("ok with checks made after the request", func(t *testing.T) {
			s := ask(t, func(in *cases.Request) { in.Checks = cases.Checks{} })
			_, err := c.issue(c.dispatcher, s.ID, "5678", &allChecks)
			require.NoError(t, err)
			now := c.session(t, s.ID)
			require.Equal(t, allChecks, now.Checks)
			require.NotNil(t, now.ReportedAt)
		})
		t.Run("ok by e-mail: the address is typed again, and no number need be notified", func(t *testing.T) {
			byMail := allChecks
			byMail.NumberNotified = false
			s := ask(t, func(in *cases.Request) {
				in.Number, in.Email, in.EmailReason, in.Checks = "", "caller@example.com", "SMSが届かない", byMail
			})
			_, err := c.issue(c.dispatcher, s.ID, "caller@example.org", nil)
			refused(t, err, problem.DigitsMismatch)
			_, err = c.issue(c.dispatcher, s.ID, "caller@example.com", nil)
			require.NoError(t, err)
		})
		t.Run("ok by a supervisor for a dispatcher", func(t *testing.T) {
			_, err := c.issue(c.supervisor, ask(t, func(*cases.Request) {}).ID, "5678", nil)
			require.NoError(t, err)
		})
		t.Run("a new link ends the one before, whatever was done with that", func(t *testing.T) {
			s := ask(t, func(*cases.Request) {})
			first := c.send(t, s)
			early := c.join(t, first.Secret)
			second := c.send(t, s)
			require.Equal(t, cases.LinkRevoked, c.link(t, first).State)
			_, err := c.rooms.Terms(ctx, first.Secret)
			refused(t, err, problem.LinkUnusable)
			refused(t, c.report(early), problem.LinkUnusable)
			require.NoError(t, c.report(c.join(t, second.Secret)))
			require.Equal(t, 1, c.link(t, second).Used)
		})
		t.Run("the secret is 22 random base62 characters, kept nowhere", func(t *testing.T) {
			seen := map[string]bool{}
			s := ask(t, func(*cases.Request) {})
			for range 20 {
				issued := c.send(t, s)
				require.Regexp(t, regexp.MustCompile(`^[0-9A-Za-z]{22}$`), issued.Secret)
				require.False(t, seen[issued.Secret])
				seen[issued.Secret] = true
			}
			everything := c.dump(t)
			for secret := range seen {
				require.NotContains(t, everything, secret)
			}
		})
	})
}

// T03: a stranger learns nothing from a dead link, not even that it was one.
func TestDeadLinksLookTheSame(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		c.settings(t, func(s *identity.Settings) { s.LinkUses = 1 })
		dead := map[string]string{"unknown": strings.Repeat("z", 22), "malformed": "' OR 1=1 --", "empty": ""}
		sessions := map[string]string{}
		kill := func(name string, how func(s *cases.Session, issued *cases.Issued)) {
			s, issued := c.sent(t)
			how(s, issued)
			dead[name], sessions[name] = issued.Secret, s.ID
		}
		kill("EXPIRED", func(*cases.Session, *cases.Issued) { dbtest.ClockOf(db).Advance(10 * time.Minute) })
		kill("USED", func(s *cases.Session, issued *cases.Issued) { require.NoError(t, c.report(c.join(t, issued.Secret))) })
		kill("REVOKED", func(s *cases.Session, _ *cases.Issued) {
			_, err := c.rooms.Revoke(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
		})
		kill("ENDED", func(s *cases.Session, _ *cases.Issued) {
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
		})
		c.settings(t, func(s *identity.Settings) { s.CallerCode = true })
		kill("CODE_FAILED", func(s *cases.Session, issued *cases.Issued) {
			for range 5 {
				_, err := c.rooms.EnterCode(ctx, issued.Secret, "wrong")
				refused(t, err, problem.CodeWrong)
			}
		})

		for name, secret := range dead {
			t.Run(name, func(t *testing.T) {
				err := c.answer(newPhone(t), secret, "", true)
				p := problem.Of(err)
				require.Equal(t, problem.LinkUnusable, p.Reason())
				require.Equal(t, problem.New(problem.LinkUnusable), p, "nothing but the one reason travels")
				if session := sessions[name]; session != "" {
					require.NotEmpty(t, c.journaled(t, session, journal.LinkRefused), "the centre learns the true reason")
				}
			})
		}
		t.Run("and when the guesses of a minute are used up, still", func(t *testing.T) {
			guessing := identity.WithAddress(ctx, "203.0.113.77")
			for range 20 {
				_, err := c.rooms.Terms(guessing, strings.Repeat("x", 22))
				refused(t, err, problem.LinkUnusable)
			}
			for name, secret := range dead {
				_, _, err := c.rooms.Join(guessing, cases.Join{Secret: secret, Agreed: true, Version: "2026-11", Language: "ja", PublicKey: newPhone(t).publicKey()})
				require.Equal(t, problem.RateLimited, problem.Of(err).Reason(), name)
			}
		})
		for name, reason := range map[string]string{"USED": "used up", "REVOKED": "REVOKED", "ENDED": "ENDED", "CODE_FAILED": "CODE_FAILED", "EXPIRED": "EXPIRED"} {
			entries := c.journaled(t, sessions[name], journal.LinkRefused)
			require.Equal(t, reason, entries[len(entries)-1]["reason"])
		}
	})
}

// guesses is how many secrets are tried: -guesses 1000000 is the long form.
var guesses = flag.Int("guesses", 20_000, "how many secrets of links are guessed")

// T03: whoever guesses secrets finds none.
func TestT03GuessesFindNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		for range 20 { // what there is to find
			_, _ = c.sent(t)
		}
		letters := []rune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
		dice := rand.New(rand.NewPCG(3, 1_000_000)) //nolint:gosec // repeatable
		guess := make([]rune, 22)
		before := c.dump(t)
		for n := range *guesses {
			for i := range guess {
				guess[i] = letters[dice.IntN(len(letters))]
			}
			if n%20 == 0 { // an address gets no more a minute
				dbtest.ClockOf(db).Advance(3 * time.Microsecond)
			}
			_, err := c.rooms.Terms(identity.WithAddress(ctx, fmt.Sprintf("2001:db8:%x:%x::1", n/20>>16, n/20&0xffff)), string(guess))
			refused(t, err, problem.LinkUnusable)
		}
		require.Equal(t, before, c.dump(t), "and nothing was written")
	})
}

// T03: guesses are bounded an address, and leave nothing behind.
func TestGuessingSecrets(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, issued := c.sent(t)
		before := c.dump(t)
		for range 20 {
			_, err := c.rooms.Terms(ctx, strings.Repeat("x", 22))
			refused(t, err, problem.LinkUnusable)
		}
		t.Run("the 21st wrong secret of a minute waits", func(t *testing.T) {
			_, err := c.rooms.Terms(ctx, strings.Repeat("x", 22))
			refused(t, err, problem.RateLimited)
		})
		t.Run("unknown secrets leave no trace in the database", func(t *testing.T) {
			require.Equal(t, before, c.dump(t))
		})
		t.Run("a right secret from the same address is let through", func(t *testing.T) {
			_, _, err := c.rooms.OpenLink(ctx, issued.Secret)
			require.NoError(t, err)
		})
		t.Run("other addresses are not held up, and after a minute nobody is", func(t *testing.T) {
			_, err := c.rooms.Terms(identity.WithAddress(ctx, "203.0.113.9"), strings.Repeat("x", 22))
			refused(t, err, problem.LinkUnusable)
			dbtest.ClockOf(db).Advance(time.Minute)
			_, err = c.rooms.Terms(ctx, strings.Repeat("x", 22))
			refused(t, err, problem.LinkUnusable)
		})
		t.Run("refusals of one known link are written at most ten times a minute", func(t *testing.T) {
			s, dead := c.sent(t)
			_, err := c.rooms.Revoke(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
			for n := range 50 {
				_, err := c.rooms.Terms(identity.WithAddress(ctx, fmt.Sprintf("198.51.100.%d", n)), dead.Secret)
				refused(t, err, problem.LinkUnusable)
			}
			require.Len(t, c.journaled(t, s.ID, journal.LinkRefused), 10)
		})
	})
}

// T03, 第5の1(2): six digits, ten minutes, five tries; the sixth fails even if right.
func TestAccessCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, plain := c.sent(t)
		c.settings(t, func(s *identity.Settings) { s.CallerCode = true })
		code := func(t *testing.T, issued *cases.Issued) string {
			text, err := c.rooms.Code(c.link(t, issued))
			require.NoError(t, err)
			require.NotNil(t, text)
			require.Regexp(t, regexp.MustCompile(`^[0-9]{6}$`), *text)
			return *text
		}
		wrong := func(right string) string {
			if right == "000000" {
				return "000001"
			}
			return "000000"
		}

		t.Run("a link from before asks for none", func(t *testing.T) {
			text, err := c.rooms.Code(c.link(t, plain))
			require.NoError(t, err)
			require.Nil(t, text)
			_, err = c.rooms.EnterCode(ctx, plain.Secret, "000000")
			refused(t, err, problem.BadInput)
			c.join(t, plain.Secret)
		})
		t.Run("join is refused without a pass, with a false one and with another link's", func(t *testing.T) {
			_, one := c.sent(t)
			_, two := c.sent(t)
			pass, err := c.rooms.EnterCode(ctx, two.Secret, code(t, two))
			require.NoError(t, err)
			for _, p := range []string{"", "pass", code(t, one), pass} {
				refused(t, c.answer(newPhone(t), one.Secret, p, true), problem.CodeRequired)
			}
			require.NoError(t, c.answer(newPhone(t), two.Secret, pass, true))
		})
		t.Run("the right code is a stage and opens join, also after four wrong ones", func(t *testing.T) {
			s, issued := c.sent(t)
			terms, err := c.rooms.Terms(ctx, issued.Secret)
			require.NoError(t, err)
			require.True(t, terms.CodeRequired)
			right := code(t, issued)
			for range 4 {
				_, err := c.rooms.EnterCode(ctx, issued.Secret, wrong(right))
				refused(t, err, problem.CodeWrong)
			}
			require.Equal(t, cases.CodeFailed, c.session(t, s.ID).Stall)
			pass, err := c.rooms.EnterCode(ctx, issued.Secret, right)
			require.NoError(t, err)
			now := c.session(t, s.ID)
			require.Equal(t, cases.CodeOK, now.State)
			require.Empty(t, now.Stall)
			require.NoError(t, c.answer(newPhone(t), issued.Secret, pass, true))
			require.Len(t, c.journaled(t, s.ID, journal.CodeRefused), 4)
		})
		t.Run("five wrong codes end the link: the sixth fails even if right", func(t *testing.T) {
			s, issued := c.sent(t)
			right := code(t, issued)
			for range 5 {
				_, err := c.rooms.EnterCode(ctx, issued.Secret, wrong(right))
				refused(t, err, problem.CodeWrong)
			}
			_, err := c.rooms.EnterCode(ctx, issued.Secret, right)
			refused(t, err, problem.LinkUnusable)
			require.Equal(t, cases.LinkCodeFailed, c.link(t, issued).State)
			require.False(t, c.session(t, s.ID).State.Over(), "the dispatcher may send another")
			c.send(t, s)
		})
		t.Run("a right code between does not give new tries", func(t *testing.T) {
			_, issued := c.sent(t)
			right := code(t, issued)
			for range 4 {
				_, err := c.rooms.EnterCode(ctx, issued.Secret, wrong(right))
				refused(t, err, problem.CodeWrong)
			}
			_, err := c.rooms.EnterCode(ctx, issued.Secret, right)
			require.NoError(t, err)
			_, err = c.rooms.EnterCode(ctx, issued.Secret, wrong(right))
			refused(t, err, problem.CodeWrong)
			_, err = c.rooms.EnterCode(ctx, issued.Secret, right)
			refused(t, err, problem.LinkUnusable)
		})
		t.Run("a code is good for ten minutes, though the link may live longer", func(t *testing.T) {
			c.settings(t, func(s *identity.Settings) { s.LinkMinutes = 30 })
			_, issued := c.sent(t)
			right := code(t, issued)
			dbtest.ClockOf(db).Advance(10*time.Minute + time.Second)
			for range 6 { // what has run out is no guess
				_, err := c.rooms.EnterCode(ctx, issued.Secret, right)
				refused(t, err, problem.CodeWrong)
			}
			require.Equal(t, 5, c.link(t, issued).CodeTriesLeft())
			text, err := c.rooms.Code(c.link(t, issued))
			require.NoError(t, err)
			require.Nil(t, text)
		})
		t.Run("the code is stored sealed and goes with the link", func(t *testing.T) {
			s, issued := c.sent(t)
			require.NotContains(t, c.dump(t), `"`+code(t, issued)+`"`)
			alive := c.link(t, issued)
			_, err := c.rooms.Revoke(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
			require.Empty(t, c.link(t, issued).CodeSealed)
			text, err := c.rooms.Code(alive) // as a page that read the link before still has it
			require.NoError(t, err)
			require.Nil(t, text)
		})
	})
}

func TestResume(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, issued, p := c.connected(t)
		nonce := func(t *testing.T, secret string) string {
			_, n, err := c.rooms.OpenLink(ctx, secret)
			require.NoError(t, err)
			return n
		}

		t.Run("ok with the phone's key: a new cookie, the old one is void", func(t *testing.T) {
			n := nonce(t, issued.Secret)
			found, token, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			require.NoError(t, err)
			require.Equal(t, p.id, found.ID)
			_, err = c.rooms.Recognise(ctx, p.token)
			refused(t, err, problem.Unauthenticated)
			actor, err := c.rooms.Recognise(ctx, token)
			require.NoError(t, err)
			require.Equal(t, p.actor, actor)
			p.token = token
			require.Equal(t, 1, c.link(t, issued).Used, "resuming spends nothing")
		})
		t.Run("a captured answer replayed is refused", func(t *testing.T) {
			n := nonce(t, issued.Secret)
			signature := p.sign(n)
			_, token, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, signature)
			require.NoError(t, err)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, n, signature)
			refused(t, err, problem.NonceInvalid)
			_, err = c.rooms.Recognise(ctx, token)
			require.NoError(t, err, "the replay did not throw the phone out")
		})
		t.Run("another key is refused, and the challenge is spent", func(t *testing.T) {
			n := nonce(t, issued.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, newPhone(t).sign(n))
			refused(t, err, problem.SignatureInvalid)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			refused(t, err, problem.NonceInvalid)
		})
		t.Run("broken signatures are refused", func(t *testing.T) {
			for _, signature := range []string{"", "!", "AAAA", strings.Repeat("A", 88), strings.Repeat("A", 4096)} {
				n := nonce(t, issued.Secret)
				_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, signature)
				refused(t, err, problem.SignatureInvalid)
			}
		})
		t.Run("a signature of another challenge is refused", func(t *testing.T) {
			n, old := nonce(t, issued.Secret), nonce(t, issued.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(old))
			refused(t, err, problem.SignatureInvalid)
		})
		t.Run("a challenge made up, too old or of another link is refused", func(t *testing.T) {
			_, other := c.sent(t)
			foreign := nonce(t, other.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, foreign, p.sign(foreign))
			refused(t, err, problem.NonceInvalid)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, "mine", p.sign("mine"))
			refused(t, err, problem.NonceInvalid)
			n := nonce(t, issued.Secret)
			dbtest.ClockOf(db).Advance(2 * time.Minute)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			refused(t, err, problem.NonceInvalid)
		})
		t.Run("a phone of another session is refused", func(t *testing.T) {
			_, _, stranger := c.connected(t)
			n := nonce(t, issued.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, stranger.id, n, stranger.sign(n))
			refused(t, err, problem.SignatureInvalid)
		})
		t.Run("ok long after the time to join, and with the link that replaced the first", func(t *testing.T) {
			dbtest.ClockOf(db).Advance(time.Hour)
			refused(t, c.answer(newPhone(t), issued.Secret, "", true), problem.LinkUnusable)
			n := nonce(t, issued.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			require.NoError(t, err)
			again := c.send(t, s)
			n = nonce(t, again.Secret)
			_, _, err = c.rooms.Resume(ctx, again.Secret, p.id, n, p.sign(n))
			require.NoError(t, err)
			_, _, err = c.rooms.OpenLink(ctx, issued.Secret)
			refused(t, err, problem.LinkUnusable)
			issued = again
		})
		t.Run("a phone that was refused stays out", func(t *testing.T) {
			second := c.join(t, issued.Secret)
			_, err := c.rooms.Admit(ctx, c.dispatcher, second.id, false)
			require.NoError(t, err)
			n := nonce(t, issued.Secret)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, second.id, n, second.sign(n))
			refused(t, err, problem.SignatureInvalid)
		})
		t.Run("after the end nothing is resumed, and every challenge is gone", func(t *testing.T) {
			n := nonce(t, issued.Secret)
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			refused(t, err, problem.LinkUnusable)
			var left int64
			require.NoError(t, db.Read(ctx).Model(&cases.Nonce{}).Where("link_id = ?", issued.Link.ID).Count(&left).Error)
			require.Zero(t, left)
		})
		t.Run("a phone that resumes without end waits", func(t *testing.T) {
			_, issued, p := c.connected(t)
			for range 20 {
				n := nonce(t, issued.Secret)
				_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
				require.NoError(t, err)
			}
			n := nonce(t, issued.Secret)
			_, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			refused(t, err, problem.RateLimited)
			dbtest.ClockOf(db).Advance(10 * time.Minute)
			n = nonce(t, issued.Secret)
			_, _, err = c.rooms.Resume(ctx, issued.Secret, p.id, n, p.sign(n))
			require.NoError(t, err)
		})
	})
}

func TestExpireDue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		ignored, silent := c.sent(t)
		troubled, denied := c.sent(t)
		require.NoError(t, c.rooms.Trouble(ctx, denied.Secret, cases.UnsupportedBrowser))
		unsent := c.request(t, c.open(t))
		joined, used := c.sent(t)
		p := c.join(t, used.Secret)
		resent, first := c.sent(t)
		var over []string
		c.rooms.OnOver(func(session string) { over = append(over, session) })

		dbtest.ClockOf(db).Advance(10*time.Minute - time.Microsecond)
		t.Run("a microsecond early nothing expires", func(t *testing.T) {
			n, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Zero(t, n)
			require.NoError(t, c.answer(newPhone(t), silent.Secret, "", false), "and the link still takes an answer")
		})
		second := c.send(t, resent)
		dbtest.ClockOf(db).Advance(time.Microsecond)
		t.Run("when the time to join is over, nobody joins", func(t *testing.T) {
			refused(t, c.answer(newPhone(t), denied.Secret, "", true), problem.LinkUnusable)
		})
		t.Run("sessions that nobody joined expire, with the reason where they stuck", func(t *testing.T) {
			n, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Equal(t, 2, n)
			require.ElementsMatch(t, []string{ignored.ID, troubled.ID}, over)
			for _, s := range []*cases.Session{ignored, troubled} {
				now := c.session(t, s.ID)
				require.Equal(t, cases.Expired, now.State)
				require.Empty(t, now.EndReason)
				require.NotNil(t, c.caseOf(t, s.CaseID).ClosedAt)
			}
			require.Equal(t, "REFUSED", c.journaled(t, ignored.ID, journal.SessionExpired)[0]["reason"])
			require.Equal(t, "UNSUPPORTED_BROWSER", c.journaled(t, troubled.ID, journal.SessionExpired)[0]["reason"])
			require.Equal(t, cases.LinkExpired, c.link(t, silent).State)
			_, err = c.rooms.LinkKey(silent.Link.ID)
			require.ErrorIs(t, err, blob.ErrNoKey)
		})
		t.Run("joined, unsent and sent-again sessions stay", func(t *testing.T) {
			for _, s := range []*cases.Session{joined, unsent, resent} {
				require.False(t, c.session(t, s.ID).State.Over())
			}
			require.Equal(t, cases.LinkRevoked, c.link(t, first).State)
			require.NoError(t, c.report(c.join(t, second.Secret)))
			dbtest.ClockOf(db).Advance(time.Hour)
			n, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Zero(t, n)
			require.NoError(t, c.report(p), "a phone that joined in time may send late")
		})
		t.Run("again: nothing more to do", func(t *testing.T) {
			before := c.dump(t)
			n, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Zero(t, n)
			require.Equal(t, before, c.dump(t))
		})
	})
}

func TestSweepLinkKeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, alive := c.sent(t)
		_, err := c.keys.Ensure("link/" + identity.NewID())
		require.NoError(t, err)
		s, dead := c.sent(t)
		_, err = c.rooms.Revoke(ctx, c.dispatcher, s.ID)
		require.NoError(t, err)
		_, err = c.keys.Ensure("link/" + dead.Link.ID) // as if the machine stopped between commit and destruction
		require.NoError(t, err)
		require.NoError(t, c.rooms.SweepLinkKeys(ctx))
		left, err := c.keys.List("link/")
		require.NoError(t, err)
		require.Equal(t, []string{"link/" + alive.Link.ID}, left)
	})
}

func TestTerms(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, issued := c.sent(t)
		terms, err := c.rooms.Terms(ctx, issued.Secret)
		require.NoError(t, err)
		t.Run("no fact of the case is in them", func(t *testing.T) {
			require.NotContains(t, fmt.Sprintf("%+v %+v", terms, terms.Agency), "canary")
			require.NotContains(t, fmt.Sprintf("%+v", terms), "5678")
		})
		t.Run("the agency, the four items, the freedom to refuse and the danger, in each language", func(t *testing.T) {
			require.Equal(t, "福島県警察", terms.Agency.NameJa)
			for _, text := range terms.Terms {
				require.Len(t, text.Items, 4)
				require.NotEmpty(t, text.Freedom)
				require.NotEmpty(t, text.Danger)
			}
			require.Equal(t, policy.Caller, c.join(t, issued.Secret).actor.Kind)
		})
	})
}
