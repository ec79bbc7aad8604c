package cases

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	kanaWord  = regexp.MustCompile(`^[ぁ-んァ-ヶー]+$`)
	latinWord = regexp.MustCompile(`^[a-z]{4,7}$`)
	small     = regexp.MustCompile(`[ゃゅょぁぃぅぇぉャュョァィゥェォ]`)
)

var unvoiced = func() *strings.Replacer {
	voiced, plain := []rune("がぎぐげござじずぜぞだぢづでどばびぶべぼぱぴぷぺぽゔ"), []rune("かきくけこさしすせそたちつてとはひふへほはひふへほう")
	var pairs []string
	for i, r := range voiced {
		pairs = append(pairs, string(r), string(plain[i]))
	}
	return strings.NewReplacer(pairs...)
}()

// heard is a word as a bad line lets it through: hiragana without the marks
// that tell が from か.
func heard(word string) string {
	return unvoiced.Replace(strings.Map(func(r rune) rune {
		if r >= 'ァ' && r <= 'ヶ' {
			return r - 'ァ' + 'ぁ'
		}
		return r
	}, word))
}

func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, q := range to {
			change := diagonal
			if r != q {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}

func TestDistance(t *testing.T) {
	require.Equal(t, 0, distance("りんご", "りんご"))
	require.Equal(t, 1, distance("とうふ", "もうふ"))
	require.Equal(t, 1, distance("lamb", "lamp"))
	require.Equal(t, 3, distance("kitten", "sitting"))
	require.Equal(t, "ふすた", heard("ブズダ"))
}

func TestProofWords(t *testing.T) {
	t.Run("every language has its list, and no other is there", func(t *testing.T) {
		require.Len(t, proofWords, 2)
		require.Len(t, proofWords["ja"], proofList)
		require.Len(t, proofWords["en"], proofList)
	})
	t.Run("Japanese words are kana of two to five morae", func(t *testing.T) {
		for _, w := range proofWords["ja"] {
			require.Regexp(t, kanaWord, w)
			morae := len([]rune(small.ReplaceAllString(w, "")))
			require.True(t, morae >= 2 && morae <= 5, "%s has %d morae", w, morae)
		}
	})
	t.Run("English words are four to seven letters", func(t *testing.T) {
		for _, w := range proofWords["en"] {
			require.Regexp(t, latinWord, w)
		}
	})
	t.Run("two words of a language are never mistaken for each other", func(t *testing.T) {
		for language, words := range proofWords {
			for i, a := range words {
				for _, b := range words[:i] {
					require.GreaterOrEqual(t, distance(heard(a), heard(b)), 2, "%s: %s and %s", language, a, b)
				}
			}
		}
	})
	t.Run("each list is in order, so that a reviewer finds a word", func(t *testing.T) {
		for language, words := range proofWords {
			require.True(t, slices.IsSortedFunc(words[:], func(a, b string) int { return strings.Compare(heard(a), heard(b)) }), language)
		}
	})
}

func TestProofPhrase(t *testing.T) {
	t.Run("two different words, the same pair in both lists", func(t *testing.T) {
		seen := map[int]bool{}
		for range 2000 {
			l := Link{Proof: newProof()}
			seen[l.Proof] = true
			p := l.ProofWords()
			require.Len(t, p.Ja, 2)
			require.Len(t, p.En, 2)
			require.NotEqual(t, p.Ja[0], p.Ja[1])
			first, second := l.Proof/proofList, l.Proof%proofList
			require.Equal(t, []string{proofWords["ja"][first], proofWords["ja"][second]}, p.Ja)
			require.Equal(t, []string{proofWords["en"][first], proofWords["en"][second]}, p.En)
		}
		require.Greater(t, len(seen), 1900, "phrases repeat too often to be random")
	})
	t.Run("the first and the last words can be drawn", func(t *testing.T) {
		first := Link{Proof: 255}
		require.Equal(t, []string{proofWords["ja"][0], proofWords["ja"][255]}, first.ProofWords().Ja)
		last := Link{Proof: 255*proofList + 254}
		require.Equal(t, []string{proofWords["en"][255], proofWords["en"][254]}, last.ProofWords().En)
	})
}
