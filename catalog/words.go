package catalog

import (
	"slices"
	"strings"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"golang.org/x/text/unicode/norm"
)

// words are the runs of letters, digits and marks. What else there is, operators of
// to_tsquery above all, separates.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !inWord(r) })
}

// inWord: a mark belongs to its letter. In Hindi most words have some.
func inWord(r rune) bool { return unicode.In(r, unicode.L, unicode.Nd, unicode.M) }

func letters(text string) (n int) {
	for _, w := range words(text) {
		n += len([]rune(w))
	}
	return n
}

// fold is what PostgreSQL makes of a word before it stems it: lower case and no
// accents, as in unaccent.rules. Highlights and typos go by it; what is found is
// PostgreSQL's own business.
func fold(word string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(word)) {
		if plain, ok := spelledOut[r]; ok {
			b.WriteString(plain)
		} else if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// spelledOut are the letters that are not another one with a mark on it.
var spelledOut = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ŋ': "n",
	'ĳ': "ij", 'ĸ': "q", 'ŀ': "l", 'ŉ': "'n", 'ŧ': "t",
}

func folded(text string) []string {
	all := words(text)
	for i, w := range all {
		all[i] = fold(w)
	}
	return slices.DeleteFunc(all, func(w string) bool { return w == "" }) // of marks alone
}

// stem is what english_stem makes of a folded word: both are Snowball's.
func stem(word string) string {
	env := snowballstem.NewEnv(word)
	english.Stem(env)
	return env.Current()
}
