package notify

import (
	"unicode/utf8"

	"genba/server/identity"
)

// maxText is what two SMS segments hold where a text has Japanese in it.
const maxText = 134

// linkBody is the message with the link, which stands on a line of its own. It
// says nothing of the case and fits in two SMS segments.
func linkBody(a *identity.Agency, language, url string) string {
	if language == "en" {
		return from(a.NameEn, ": please open this page. Do not hang up.\n"+url)
	}
	return from(a.NameJa, "です。電話は切らずに、次のページを開いてください。\n"+url)
}

// correctionBody tells whoever got a message that was not meant for them.
func correctionBody(a *identity.Agency, language string) string {
	if language == "en" {
		return from(a.NameEn, ": our last message was sent to you by mistake. Its link no longer works. Please delete it. Sorry.")
	}
	return from(a.NameJa, "です。先ほどのメッセージは誤って送ったものです。リンクはもう使えません。削除してください。ご迷惑をおかけしました。")
}

// from puts the agency's name before a text; a name that is too long for the
// message is cut, the text never.
func from(name, text string) string {
	runes := []rune(name)
	room := max(maxText-utf8.RuneCountInString(text), 0)
	return string(runes[:min(len(runes), room)]) + text
}
