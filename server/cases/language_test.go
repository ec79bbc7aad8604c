package cases_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/problem"
)

// The agency says in which languages callers are spoken to; the first one stands
// where none was chosen, and the page offers no others.
func TestLanguagesAreASetting(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		ask := func(language string) (*cases.Session, error) {
			s, _, err := c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{
				CaseID: c.open(t).ID, Asked: cases.PhotoMode, Need: "けがの様子", Checks: allChecks, Number: "09012345678", Language: language,
			})
			return s, err
		}
		languages := func(secret string) (all []string) {
			terms, err := c.rooms.Terms(ctx, secret)
			require.NoError(t, err)
			for _, in := range terms.Terms {
				all = append(all, in.Language)
			}
			return all
		}
		s, err := ask("")
		require.NoError(t, err)
		require.Equal(t, "ja", s.Language)
		both := c.send(t, s)
		require.Equal(t, []string{"ja", "en"}, languages(both.Secret))

		c.settings(t, func(s *identity.Settings) { s.Languages = []string{"en"} })
		require.Equal(t, []string{"ja", "en"}, languages(both.Secret), "whoever was asked in Japanese can still read it")
		_, err = ask("ja")
		require.True(t, problem.Is(err, problem.LanguageNotOffered))
		s, err = ask("")
		require.NoError(t, err)
		require.Equal(t, "en", s.Language)
		require.Equal(t, []string{"en"}, languages(c.send(t, s).Secret))
	})
}
