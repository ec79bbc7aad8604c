package cases_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func TestConsent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)

		t.Run("refused: no phone is let in, nothing is spent, and the centre sees why it stalls", func(t *testing.T) {
			s, issued := c.sent(t)
			p := newPhone(t)
			require.NoError(t, c.answer(p, issued.Secret, "", false))
			require.Empty(t, p.token)
			now := c.session(t, s.ID)
			require.Equal(t, cases.RefusedConsent, now.Stall)
			require.Nil(t, now.ConsentedAt)
			require.Zero(t, c.link(t, issued).Used)
			phones, err := c.rooms.Phones(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Empty(t, phones)
			answers, err := c.rooms.Consents(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Len(t, answers[s.ID], 1)
			require.False(t, answers[s.ID][0].Agreed)
			require.Len(t, c.journaled(t, s.ID, journal.ConsentRefused), 1)
		})
		t.Run("a caller who refused may still agree", func(t *testing.T) {
			s, issued := c.sent(t)
			require.NoError(t, c.answer(newPhone(t), issued.Secret, "", false))
			p := c.join(t, issued.Secret)
			require.Equal(t, cases.Consented, c.session(t, s.ID).State)
			require.Empty(t, c.session(t, s.ID).Stall)
			answers, err := c.rooms.Consents(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Equal(t, p.id, *answers[s.ID][1].PhoneID)
			require.Equal(t, "2026-11", answers[s.ID][1].Version)
			require.Equal(t, "ja", answers[s.ID][1].Language)
		})
		t.Run("words that are not the current ones are no consent", func(t *testing.T) {
			_, issued := c.sent(t)
			for _, said := range [][2]string{{"", ""}, {"2026-11", "fr"}, {"2025-01", "ja"}} {
				_, _, err := c.rooms.Join(ctx, cases.Join{Secret: issued.Secret, Agreed: true, Version: said[0], Language: said[1], PublicKey: newPhone(t).publicKey()})
				refused(t, err, problem.ConsentOutdated)
			}
		})
		t.Run("only a P-256 key makes a phone", func(t *testing.T) {
			s, issued := c.sent(t)
			other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			require.NoError(t, err)
			p384, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
			require.NoError(t, err)
			r, err := rsa.GenerateKey(rand.Reader, 1024)
			require.NoError(t, err)
			rsaKey, err := x509.MarshalPKIXPublicKey(&r.PublicKey)
			require.NoError(t, err)
			for _, key := range []string{"", "!", "AAAA", strings.Repeat("A", 600), base64.StdEncoding.EncodeToString(p384), base64.StdEncoding.EncodeToString(rsaKey)} {
				_, _, err := c.rooms.Join(ctx, cases.Join{Secret: issued.Secret, Agreed: true, Version: "2026-11", Language: "ja", PublicKey: key})
				refused(t, err, problem.BadInput)
			}
			require.Nil(t, c.session(t, s.ID).ConsentedAt)
		})
		t.Run("what a phone says of itself is bounded", func(t *testing.T) {
			_, issued := c.sent(t)
			for _, text := range []string{strings.Repeat("x", 81), "a\x00b", "\xff"} {
				_, _, err := c.rooms.Join(ctx, cases.Join{Secret: issued.Secret, Agreed: true, Version: "2026-11", Language: "ja", PublicKey: newPhone(t).publicKey(), System: text})
				refused(t, err, problem.BadInput)
			}
		})
	})
}

func TestPhones(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)

		t.Run("the first accepted position spends a use and binds; later ones spend nothing", func(t *testing.T) {
			s, issued := c.sent(t)
			p := c.join(t, issued.Secret)
			require.Equal(t, cases.Provisional, c.phoneState(t, p))
			for range 3 {
				require.NoError(t, c.report(p))
				dbtest.ClockOf(db).Advance(1e9)
			}
			require.Equal(t, cases.Bound, c.phoneState(t, p))
			require.Equal(t, 1, c.link(t, issued).Used)
			require.Equal(t, cases.Connected, c.session(t, s.ID).State)
			require.Len(t, c.journaled(t, s.ID, journal.SessionConnected), 1)
			require.Len(t, c.journaled(t, s.ID, journal.PhoneBound), 1)
		})
		t.Run("a second phone waits, is announced, sends nothing, and leaves the first as it is", func(t *testing.T) {
			s, issued, first := c.connected(t)
			second := c.join(t, issued.Secret)
			require.Equal(t, cases.Waiting, c.phoneState(t, second))
			require.Equal(t, second.id, c.journaled(t, s.ID, journal.PhoneWaiting)[0]["phone"])
			_, err := c.rooms.Welcome(ctx, second.actor)
			refused(t, err, problem.PhoneWaiting)
			refused(t, c.report(second), problem.PhoneWaiting)
			require.Equal(t, 1, c.link(t, issued).Used)
			dbtest.ClockOf(db).Advance(1e9)
			require.NoError(t, c.report(first))
			actor, err := c.rooms.Recognise(ctx, first.token)
			require.NoError(t, err)
			require.Equal(t, first.actor, actor)
		})
		t.Run("a second phone that consented earlier waits from the first one's picture on", func(t *testing.T) {
			s, issued := c.sent(t)
			scanner, caller := c.join(t, issued.Secret), c.join(t, issued.Secret)
			require.NoError(t, c.report(caller))
			require.Equal(t, cases.Bound, c.phoneState(t, caller))
			require.Equal(t, cases.Waiting, c.phoneState(t, scanner))
			refused(t, c.report(scanner), problem.PhoneWaiting)
			require.Len(t, c.journaled(t, s.ID, journal.PhoneWaiting), 1)
			require.Equal(t, 1, c.link(t, issued).Used)
		})
		t.Run("admitted: it spends another use and sends beside the first", func(t *testing.T) {
			s, issued, first := c.connected(t)
			second := c.join(t, issued.Secret)
			for range 2 { // a second click changes nothing
				_, err := c.rooms.Admit(ctx, c.dispatcher, second.id, true)
				require.NoError(t, err)
			}
			require.Equal(t, 2, c.link(t, issued).Used)
			require.Len(t, c.journaled(t, s.ID, journal.PhoneAdmitted), 1)
			dbtest.ClockOf(db).Advance(1e9)
			require.NoError(t, c.report(second))
			dbtest.ClockOf(db).Advance(1e9)
			require.NoError(t, c.report(first))
			refused(t, c.answer(newPhone(t), issued.Secret, "", true), problem.LinkUnusable)
		})
		t.Run("with one use the second phone is refused", func(t *testing.T) {
			c.settings(t, func(s *identity.Settings) { s.LinkUses = 1 })
			_, issued := c.sent(t)
			early := c.join(t, issued.Secret)
			require.NoError(t, c.report(c.join(t, issued.Secret)))
			_, err := c.rooms.Admit(ctx, c.dispatcher, early.id, true)
			refused(t, err, problem.LinkUnusable)
			require.Equal(t, cases.Waiting, c.phoneState(t, early))
			refused(t, c.answer(newPhone(t), issued.Secret, "", true), problem.LinkUnusable)
			require.Equal(t, 1, c.link(t, issued).Used)
			c.settings(t, func(s *identity.Settings) { s.LinkUses = 2 })
		})
		t.Run("refused: for good, cut at once, and its cookie opens nothing", func(t *testing.T) {
			s, issued, _ := c.connected(t)
			second := c.join(t, issued.Secret)
			var cut []string
			c.rooms.OnCut(func(phone string) { cut = append(cut, phone) })
			for range 2 {
				_, err := c.rooms.Admit(ctx, c.dispatcher, second.id, false)
				require.NoError(t, err)
			}
			require.Equal(t, []string{second.id}, cut)
			require.Equal(t, 1, c.link(t, issued).Used)
			_, err := c.rooms.Recognise(ctx, second.token)
			refused(t, err, problem.Unauthenticated)
			_, err = c.rooms.Welcome(ctx, second.actor)
			refused(t, err, problem.PhoneRefused)
			refused(t, c.report(second), problem.PhoneRefused)
			_, err = c.rooms.Admit(ctx, c.dispatcher, second.id, true)
			refused(t, err, problem.SessionNotOpen)
			require.Len(t, c.journaled(t, s.ID, journal.PhoneRefused), 1)
		})
		t.Run("who has to wait because another was bound is told of", func(t *testing.T) {
			_, issued := c.sent(t)
			squatter, p := c.join(t, issued.Secret), c.join(t, issued.Secret)
			var held []string
			c.rooms.OnHeld(func(phone string) { held = append(held, phone) })
			require.NoError(t, c.report(p))
			require.Equal(t, []string{squatter.id}, held)
		})
		t.Run("when a link's places are used up, a new link gives the caller one", func(t *testing.T) {
			s, issued := c.sent(t)
			for range 64 {
				c.join(t, issued.Secret)
			}
			refused(t, c.answer(newPhone(t), issued.Secret, "", true), problem.LinkUnusable)
			require.Equal(t, "too many phones", c.journaled(t, s.ID, journal.LinkRefused)[0]["reason"])
			again := c.send(t, s)
			require.NoError(t, c.report(c.join(t, again.Secret)))
		})
		t.Run("a bound phone that was put out cannot come back by joining anew", func(t *testing.T) {
			_, issued, p := c.connected(t)
			_, err := c.rooms.Admit(ctx, c.dispatcher, p.id, false)
			require.NoError(t, err)
			again := c.join(t, issued.Secret)
			require.Equal(t, cases.Waiting, c.phoneState(t, again))
			refused(t, c.report(again), problem.PhoneWaiting)
		})
		t.Run("a phone that does not wait cannot be admitted", func(t *testing.T) {
			_, issued := c.sent(t)
			_, err := c.rooms.Admit(ctx, c.dispatcher, c.join(t, issued.Secret).id, true)
			refused(t, err, problem.SessionNotOpen)
			require.Zero(t, c.link(t, issued).Used)
		})
		t.Run("only who may command the session admits", func(t *testing.T) {
			s, issued, _ := c.connected(t)
			second := c.join(t, issued.Secret)
			_, err := c.rooms.Admit(ctx, c.colleague, second.id, true)
			refused(t, err, problem.Forbidden)
			_, err = c.rooms.Admit(ctx, c.foreigner, second.id, true)
			refused(t, err, problem.NotFound)
			_, err = c.rooms.Admit(ctx, c.dispatcher, identity.NewID(), true)
			refused(t, err, problem.NotFound)
			require.Equal(t, cases.Waiting, c.phoneState(t, second))
			_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			_, err = c.rooms.Admit(ctx, c.dispatcher, second.id, true)
			refused(t, err, problem.SessionEnded)
		})
		t.Run("a phone cannot send into another session", func(t *testing.T) {
			other, _, _ := c.connected(t)
			_, _, p := c.connected(t)
			forged := p.actor
			forged.Session = other.ID
			_, err := c.rooms.Welcome(ctx, forged)
			refused(t, err, problem.NotFound)
			refused(t, c.report(&phone{actor: forged}), problem.NotFound)
		})
		t.Run("a caller who is done leaves the session open", func(t *testing.T) {
			s, _, p := c.connected(t)
			for range 2 {
				require.NoError(t, c.rooms.Stop(ctx, p.actor))
			}
			require.Len(t, c.journaled(t, s.ID, journal.PhoneStopped), 1)
			require.False(t, c.session(t, s.ID).State.Over())
		})
	})
}

func TestTwoPhonesAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		for range 10 {
			s, issued := c.sent(t)
			phones := []*phone{c.join(t, issued.Secret), c.join(t, issued.Secret), c.join(t, issued.Secret)}
			results := make([]error, len(phones))
			var all sync.WaitGroup
			for i, p := range phones {
				all.Go(func() { results[i] = c.report(p) })
			}
			all.Wait()
			bound := 0
			for i, p := range phones {
				if results[i] == nil {
					bound++
					require.Equal(t, cases.Bound, c.phoneState(t, p))
					continue
				}
				refused(t, results[i], problem.PhoneWaiting)
				require.Equal(t, cases.Waiting, c.phoneState(t, p))
			}
			require.Equal(t, 1, bound)
			require.Equal(t, 1, c.link(t, issued).Used)
			require.Len(t, c.journaled(t, s.ID, journal.PhoneBound), 1)
		}
	})
}

func TestCount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, _, p := c.connected(t)
		count := func(kind, capture string, complete bool) error {
			return db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Count(tx, s.ID, kind, capture, complete) })
		}
		for _, f := range [][2]string{{"RECORDING", "NOW"}, {"PHOTO", "NOW"}, {"PHOTO", "NOW"}, {"PHOTO", "BEFORE"}, {"VIDEO", "NOW"}, {"VIDEO", "BEFORE"}, {"SNAPSHOT", "NOW"}} {
			require.NoError(t, count(f[0], f[1], true))
		}
		require.NoError(t, count("VIDEO", "BEFORE", false))
		dbtest.ClockOf(db).Advance(1e9)
		require.NoError(t, c.report(p), "what moves the session on does not lose a count")
		now := c.session(t, s.ID)
		require.Equal(t, []int{1, 2, 1, 1, 1, 1, 1}, []int{now.Recordings, now.PhotosNow, now.PhotosBefore, now.VideosNow, now.VideosBefore, now.Snapshots, now.Incomplete})
		for _, f := range [][2]string{{"RECORDING", "BEFORE"}, {"SNAPSHOT", "BEFORE"}, {"GIF", "NOW"}, {"", ""}} {
			refused(t, count(f[0], f[1], true), problem.BadInput)
		}
	})
}
