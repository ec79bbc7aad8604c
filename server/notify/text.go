package notify

import "genba/server/identity"

// linkBody is the message with the link, which stands on a line of its own. It
// says nothing of the case and fits in two SMS segments.
func linkBody(a *identity.Agency, language, url string) string {
	if language == "en" {
		return a.NameEn + ": the officer on the phone asks you to open this page. Do not hang up.\n" + url
	}
	return a.NameJa + "です。電話は切らずに、次のページを開いてください。\n" + url
}

// correctionBody tells whoever got a message that was not meant for them.
func correctionBody(a *identity.Agency, language string) string {
	if language == "en" {
		return a.NameEn + ": our last message reached you by mistake. The link no longer works. Please delete it. We are sorry."
	}
	return a.NameJa + "です。先ほどのメッセージは誤って送ったものです。リンクはもう使えません。削除してください。ご迷惑をおかけしました。"
}
