package cases

import (
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"genba/server/problem"
)

const maxTypedNumber = 40 // characters

// numberMarks may stand between the digits of a typed number.
const numberMarks = " 　\t-－‐‑‒–—―−ー.．()（）"

// NormaliseMobile reads a number as a person types it (full-width digits,
// hyphens, a country code) and gives it as E.164. Anything but a Japanese
// mobile number is NUMBER_INVALID: only those receive the SMS.
func NormaliseMobile(typed string) (string, error) {
	n, err := parseNumber(typed)
	if err != nil {
		return "", err
	}
	if phonenumbers.GetNumberType(n) != phonenumbers.MOBILE || n.GetCountryCode() != 81 {
		return "", problem.New(problem.NumberInvalid)
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// normalise gives any number that is valid in Japan, a landline's too, as E.164:
// what the telephone system notified need not be a mobile.
func normalise(typed string) (string, error) {
	n, err := parseNumber(typed)
	if err != nil {
		return "", err
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

func parseNumber(typed string) (*phonenumbers.PhoneNumber, error) {
	if utf8.RuneCountInString(typed) > maxTypedNumber || !plainNumber(typed) {
		return nil, problem.New(problem.NumberInvalid)
	}
	n, err := phonenumbers.Parse(typed, "JP")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return nil, problem.Wrap(problem.NumberInvalid, err)
	}
	return n, nil
}

// plainNumber refuses what the parser would read something else out of: letters
// as keypad digits, extensions, URIs.
func plainNumber(typed string) bool {
	for _, r := range typed {
		digit := r >= '0' && r <= '9' || r >= '０' && r <= '９'
		if !digit && r != '+' && r != '＋' && !strings.ContainsRune(numberMarks, r) {
			return false
		}
	}
	return true
}

// Groups splits an E.164 number as it is read aloud: 090, 1234, 5678. What
// cannot be split is one group.
func Groups(e164 string) []string {
	n, err := phonenumbers.Parse(e164, "JP")
	if err != nil || !strings.HasPrefix(e164, "+") {
		return []string{e164}
	}
	return strings.Split(phonenumbers.Format(n, phonenumbers.NATIONAL), "-")
}
