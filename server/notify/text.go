package notify

import (
	"unicode/utf16"

	"genba/server/identity"
)

// maxText is what two SMS segments hold where a text has Japanese in it, in
// UTF-16 units.
const maxText = 134

// leastName is how much of the agency's name always fits before a link, so that
// the message says who sends it.
const leastName = 12

// MaxLink is the longest link, secret included, that fits into a message in
// every language, with its text and the beginning of the agency's name.
var MaxLink = func() int {
	most := 0
	for _, w := range texts {
		most = max(most, units(w.short))
	}
	return maxText - leastName - most
}()

// words are a message's texts in one language; each stands behind the agency's
// name, and the link on a line of its own.
type words struct {
	link       string
	short      string // where a long name or link leaves no room for more
	correction string

	subject, correctionSubject string
}

// texts say nothing of the case, ask for nothing but to open our page, and name
// no other address.
var texts = map[string]words{
	"ja": {
		link:              "です。電話は切らずに、次のページを開いてください。\n",
		short:             "です。次のページを開いてください。\n",
		correction:        "です。先ほどのメッセージは誤って送ったものです。リンクはもう使えません。削除してください。ご迷惑をおかけしました。",
		subject:           "からのお知らせ",
		correctionSubject: "からのおわび",
	},
	"en": {
		link:              ": please open this page. Do not hang up.\n",
		short:             ": please open this page.\n",
		correction:        ": our last message was sent to you by mistake. Its link no longer works. Please delete it. Sorry.",
		subject:           ": please open this page",
		correctionSubject: ": sent to you by mistake",
	},
}

func in(a *identity.Agency, language string) (words, string) {
	if language == "en" {
		return texts["en"], a.NameEn
	}
	return texts["ja"], a.NameJa
}

// linkBody is the message with the link, which stands on a line of its own. It
// says nothing of the case and fits in two SMS segments.
func linkBody(a *identity.Agency, language, url string) string {
	w, name := in(a, language)
	if units(name+w.link+url) > maxText {
		return from(name, w.short+url)
	}
	return name + w.link + url
}

// correctionBody tells whoever got a message that was not meant for them.
func correctionBody(a *identity.Agency, language string) string {
	w, name := in(a, language)
	return from(name, w.correction)
}

// subject stands over an e-mail.
func subject(a *identity.Agency, language string, p Purpose) string {
	w, name := in(a, language)
	if p == Correction {
		return name + w.correctionSubject
	}
	return name + w.subject
}

// from puts the agency's name before a text; a name that is too long for the
// message is cut, the text never.
func from(name, text string) string {
	room := maxText - units(text)
	for i, r := range name {
		if room -= max(utf16.RuneLen(r), 1); room < 0 {
			return name[:i] + text
		}
	}
	return name + text
}

// units is a text's length as SMS counts it.
func units(text string) int { return len(utf16.Encode([]rune(text))) }
