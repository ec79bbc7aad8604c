package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database/dbtest"
	"genba/server/identity"
)

const (
	deadLinks  = 6   // of each kind
	toldRounds = 9   // refusals of each link that the centre is told of; the tenth and later ones are counted
	moreRounds = 100 // refusals of one link, once they are only counted

	maxSpread = 2 * time.Millisecond
)

// askLink is the query behind the caller's page.
const askLink = `query($secret: String!){link(secret:$secret){language}}`

// BenchmarkDeadLink asks, as a stranger does, for links that are dead for
// different reasons. Figures: the median of each reason, and spread-ms, the
// widest difference of two; of links whose refusals are journaled, and of those
// that were refused so often that they are only counted. It fails where the
// spread is over 2 ms: the time of an answer must not tell what the answer does
// not.
func BenchmarkDeadLink(b *testing.B) {
	for _, engine := range []struct {
		name string
		dsn  func(testing.TB) string
	}{{"sqlite", func(testing.TB) string { return "" }}, {"postgres", dbtest.PostgresDSN}} {
		for _, ask := range []string{"link", "openLink", "join"} {
			b.Run(engine.name+"/"+ask, func(b *testing.B) { deadLink(b, engine.dsn(b), ask) })
		}
	}
}

func deadLink(b *testing.B, dsn, asked string) {
	c := config(b, dsn)
	c.TrustedProxy = "127.0.0.1" // each stranger comes from an address of their own
	h := open(b, c, &clock{})
	dispatcher := h.signIn(policy.Dispatcher)
	agency, err := h.People.AgencyByCode(b.Context(), "")
	require.NoError(b, err)
	settings := identity.DefaultSettings
	settings.LinkUses = 1
	require.NoError(b, h.People.SetSettings(b.Context(), policy.SystemActor(), agency.ID, settings))
	reasons := []string{"unknown", "expired", "used", "revoked"}
	secrets := map[string][]string{}
	key := h.visitor("caller")
	for i := range deadLinks {
		secrets["unknown"] = append(secrets["unknown"], fmt.Sprintf("%022d", i))
		secrets["expired"] = append(secrets["expired"], h.reported(dispatcher).secret)
	}
	h.clock.advance(11 * time.Minute)
	require.NoError(b, h.DueWork(b.Context()))
	for range deadLinks {
		used := h.reported(dispatcher)
		used.answered().locate(35.68, 139.76)
		if asked != "join" { // a link whose uses are spent still shows its page, until the report is over
			used.end()
		}
		revoked := h.reported(dispatcher)
		ask[struct{}](dispatcher, revokeLink, vars{"in": vars{"sessionID": revoked.id}})
		secrets["used"] = append(secrets["used"], used.secret)
		secrets["revoked"] = append(secrets["revoked"], revoked.secret)
	}
	phone := (&report{house: h}).caller()
	strangers := 0
	refuse := func(secret string) time.Duration {
		document, in := askLink, vars{"secret": secret}
		switch asked {
		case "openLink":
			document, in = openLink, vars{"in": vars{"secret": secret}}
		case "join":
			v := phone.joining()
			v["secret"] = secret
			document, in = join, vars{"in": v}
		}
		strangers++
		header := append(key.headers(), "X-Forwarded-For", fmt.Sprintf("198.51.%d.%d", strangers/250%250, strangers%250))
		body := operation(document, in)
		began := time.Now()
		a, err := h.send(http.MethodPost, "/graphql", body, header...)
		took := time.Since(began)
		require.NoError(b, err)
		require.Contains(b, string(a.body), "LINK_UNUSABLE")
		return took
	}
	round := func(pick func(list []string) []string) map[string][]time.Duration {
		took := map[string][]time.Duration{}
		for i := range pick(secrets["unknown"]) {
			for _, at := range rand.Perm(len(reasons)) {
				reason := reasons[at]
				took[reason] = append(took[reason], refuse(pick(secrets[reason])[i]))
			}
		}
		return took
	}
	for range 30 { // a warm connection, and statements that are prepared
		refuse("x")
	}
	measure := func(name string, rounds int, pick func(list []string) []string) {
		all := map[string][]time.Duration{}
		for range rounds {
			for reason, took := range round(pick) {
				all[reason] = append(all[reason], took...)
			}
		}
		var least, most time.Duration
		for i, reason := range reasons {
			slices.Sort(all[reason])
			median := all[reason][len(all[reason])/2]
			b.ReportMetric(float64(median.Microseconds())/1000, reason+name+"-ms")
			if i == 0 {
				least = median
			}
			least, most = min(least, median), max(most, median)
		}
		b.ReportMetric(float64((most-least).Microseconds())/1000, "spread"+name+"-ms")
		if most-least > maxSpread {
			b.Errorf("medians%s are %s apart, more than %s", name, most-least, maxSpread)
		}
	}
	b.ReportMetric(0, "ns/op")
	measure("", toldRounds, func(list []string) []string { return list })
	measure("-counted", moreRounds, func(list []string) []string { return list[:1] })
}
