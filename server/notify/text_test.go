package notify_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/identity"
	"genba/server/notify"
)

// A message fits into two SMS segments in every language, with the longest
// public address that the settings take and the longest name of an agency; the
// link is whole, on a line of its own, and names no other host (T13).
func TestEveryMessageFitsTwoSegments(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		names := []identity.NewAgency{
			{Code: "short", NameJa: "県警", NameEn: "Police"},
			{Code: "usual", NameJa: "福島県警察", NameEn: "Fukushima Prefectural Police"},
			{Code: "longest", NameJa: strings.Repeat("長", 66), NameEn: strings.Repeat("Long name ", 20)},
			{Code: "rare", NameJa: strings.Repeat("𠮷", 50), NameEn: strings.Repeat("𝔓", 50)},
		}
		for _, in := range names {
			a, err := o.people.CreateAgency(t.Context(), in)
			require.NoError(t, err)
			for _, length := range []int{len("http://localhost:8080"), 40, notify.MaxLink - len("/v#") - 22} {
				public := "https://" + strings.Repeat("a", max(length-len("https://"), 1))
				for _, language := range []string{"ja", "en"} {
					t.Run(fmt.Sprint(in.Code, length, language), func(t *testing.T) {
						o.clock.Advance(11 * 60e9)
						body := o.bodyFrom(a, public, language)
						lines := strings.Split(body, "\n")
						require.Len(t, lines, 2)
						require.Regexp(t, "^"+public+"/v#[0-9A-Za-z]{22}$", lines[1], "the link is whole")
						require.LessOrEqual(t, len(utf16.Encode([]rune(body))), 134, body)
						require.Equal(t, 1, strings.Count(body, "://"), "our own domain only")
						name := map[string]string{"ja": a.NameJa, "en": a.NameEn}[language]
						require.True(t, strings.HasPrefix(body, string([]rune(name)[:min(6, len([]rune(name)))])), "it says who sends it: %s", body)
					})
				}
			}
		}
	})
}

// bodyFrom is the message that an agency's link goes out with.
func (o *office) bodyFrom(a *identity.Agency, public, language string) string {
	o.t.Helper()
	actor := o.dispatcher
	actor.Agency = a.ID
	k, err := o.cases.Open(o.t.Context(), actor, cases.NewCase{})
	require.NoError(o.t, err)
	s, _, err := o.cases.RequestVideo(o.t.Context(), actor, cases.Request{
		CaseID: k.ID, Asked: cases.PhotoMode, Need: "x", Number: "09012345678", Language: language,
		Checks: cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true},
	})
	require.NoError(o.t, err)
	office := o.at(public)
	_, err = office.SendLink(o.t.Context(), actor, notify.Order{SessionID: s.ID, LastFour: "5678", Key: "a"})
	require.NoError(o.t, err)
	_, err = office.Deliver(o.t.Context())
	require.NoError(o.t, err)
	sent := o.carrier.messages()
	return sent[len(sent)-1].Body
}

// at is the room as it stands behind another public address.
func (o *office) at(public string) *notify.Notify {
	return notify.New(o.db, o.journal, o.cases, o.people, o.carrier, func() string { return public }, slog.New(slog.DiscardHandler))
}
