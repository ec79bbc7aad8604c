package cases_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/problem"
)

var japaneseMobile = regexp.MustCompile(`^\+81[6-9]0[0-9]{8}$`)

func TestNormaliseMobile(t *testing.T) {
	for typed, want := range map[string]string{
		"09012345678":     "+819012345678",
		"090-1234-5678":   "+819012345678",
		" 090 1234 5678 ": "+819012345678",
		"(090)1234-5678":  "+819012345678",
		"０９０－１２３４－５６７８":       "+819012345678",
		"＋８１　９０－１２３４－５６７８":    "+819012345678",
		"090ー1234ー5678":       "+819012345678",
		"+81 90 1234 5678":    "+819012345678",
		"+81-(0)90-1234-5678": "+819012345678",
		"080.1234.5678":       "+818012345678",
		"07012345678":         "+817012345678",
	} {
		t.Run("ok: "+typed, func(t *testing.T) {
			got, err := cases.NormaliseMobile(typed)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	for name, typed := range map[string]string{
		"empty":              "",
		"a landline":         "024-522-2151",
		"emergency":          "110",
		"toll-free":          "0120-123-456",
		"premium":            "0990-123-456",
		"IP telephone":       "050-1234-5678",
		"one digit short":    "090-1234-567",
		"one digit more":     "090-1234-56789",
		"another country's":  "+1 202 555 0123",
		"two numbers":        "090-1234-5678 080-1234-5678",
		"letters for digits": "090-1234-LOVE",
		"an extension":       "090-1234-5678 ext. 9",
		"words around it":    "call 090-1234-5678 now",
		"a URI":              "tel:090-1234-5678",
		"a header":           "09012345678\r\nBcc: x",
		"too long":           strings.Repeat("0", 1000),
		"broken text":        "090\xff12345678",
		"a NUL":              "090\x0012345678",
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			_, err := cases.NormaliseMobile(typed)
			refused(t, err, problem.NumberInvalid)
		})
	}
}

func TestGroups(t *testing.T) {
	require.Equal(t, []string{"090", "1234", "5678"}, cases.Groups("+819012345678"))
	for _, odd := range []string{"", "678", "nonsense"} {
		require.Equal(t, []string{odd}, cases.Groups(odd))
	}
}

// The SMS goes to the number whose digits were typed, or to nobody.
func FuzzNormaliseMobile(f *testing.F) {
	for _, seed := range []string{"09012345678", "０９０－１２３４－５６７８", "+81 90 1234 5678", "090-1234-LOVE", "tel:+81-90-1234-5678;ext=3", "090-1234-5678#12", "", "\xff", "+8109012345678"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, err := cases.NormaliseMobile(typed)
		if err != nil {
			refused(t, err, problem.NumberInvalid)
			require.Empty(t, got)
			return
		}
		require.Regexp(t, japaneseMobile, got)
		digits := strings.Map(func(r rune) rune {
			if r >= '０' && r <= '９' {
				r += '0' - '０'
			}
			if r >= '0' && r <= '9' {
				return r
			}
			require.False(t, unicode.IsLetter(r) && r != 'ー', "%q was read as %s", typed, got)
			return -1
		}, typed)
		require.True(t, strings.HasSuffix(digits, got[len("+81"):]), "%q was read as %s", typed, got)
		again, err := cases.NormaliseMobile(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
		require.Equal(t, "0"+got[len("+81"):], strings.Join(cases.Groups(got), ""))
	})
}
