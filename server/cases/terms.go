package cases

import (
	"context"
	"slices"

	"genba/server/problem"
)

// Terms are the four items of 第4の2(2) in one language, as versioned text. A
// consent names version and language, so the exact words can be shown later:
// a change of words is a new version, and the old ones stay here.
type Terms struct {
	Version  string
	Language string
	Items    []string // ア copyright, イ position, ウ privacy of others, エ cost of data
	Freedom  string
	Danger   string
}

var currentTerms = []Terms{
	{
		Version: "2026-11", Language: "ja",
		Items: []string{
			"送った写真や動画の著作権は放棄してもらいます",
			"スマホのGPSで、あなたのいる場所を警察に知らせます",
			"道など、だれでも入れる場所から、目で見えるものだけ撮ってください。ほかの人のプライバシーを守ってください",
			"通信のお金は、あなたが払います",
		},
		Freedom: "送るかどうかは自由です。断っても警察は対応します",
		Danger:  "あぶないときは、撮らないで逃げてください",
	},
	{
		Version: "2026-11", Language: "en",
		Items: []string{
			"You give up the copyright of the photos and videos you send",
			"Your phone's GPS tells the police where you are",
			"Film only what you can see from a place open to everyone, such as a street. Respect other people's privacy",
			"You pay for the data you send",
		},
		Freedom: "You are free to send or not. The police will help you either way",
		Danger:  "If it is dangerous, do not film. Get away",
	},
}

func knownTerms(version, language string) bool {
	for _, t := range currentTerms {
		if t.Version == version && t.Language == language {
			return true
		}
	}
	return false
}

// termsIn are the current terms in the languages that the agency offers, and in
// the one that this video report was asked for in, which stands first.
func termsIn(languages []string, asked string) []Terms {
	var in []Terms
	for _, language := range append([]string{asked}, languages...) {
		known := slices.IndexFunc(currentTerms, func(t Terms) bool { return t.Language == language })
		if known >= 0 && !slices.ContainsFunc(in, func(t Terms) bool { return t.Language == language }) {
			in = append(in, currentTerms[known])
		}
	}
	return in
}

// offered is the language of a new video report: the one that was chosen, or
// the agency's first. LANGUAGE_NOT_OFFERED.
func (c *Cases) offered(ctx context.Context, agency, language string) (string, error) {
	a, err := c.identity.Agency(ctx, agency)
	if err != nil {
		return "", err
	}
	if language == "" {
		return a.Settings.Languages[0], nil
	}
	if !a.Settings.Offers(language) {
		return "", problem.New(problem.LanguageNotOffered)
	}
	return language, nil
}
