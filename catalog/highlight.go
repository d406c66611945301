package catalog

import (
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
)

// A marker finds the words of a text that a search has matched. It is here and not in
// the query because ts_headline parses and stems each text again, 0.2 ms a time, which
// for a page was ten times the search.
type marker struct {
	stems  []string
	prefix string // folded; "" for none
}

func newMarker(text, last string) marker {
	m := marker{prefix: fold(last)}
	for _, w := range folded(text + " " + last) {
		if !english.IsStopWord(w) {
			m.stems = append(m.stems, stem(w))
		}
	}
	return m
}

// A token is a word, or what is between two words.
type token struct {
	text string
	stem string // of a word
	hit  bool
}

func (m marker) tokens(s string) []token {
	var all []token
	for len(s) > 0 {
		first, _ := utf8.DecodeRuneInString(s)
		word := inWord(first)
		end := strings.IndexFunc(s, func(r rune) bool { return inWord(r) != word })
		if end < 0 {
			end = len(s)
		}
		t := token{text: s[:end]}
		if word {
			w := fold(t.text)
			t.stem = stem(w)
			t.hit = slices.Contains(m.stems, t.stem) || m.prefix != "" && strings.HasPrefix(w, m.prefix)
		}
		all, s = append(all, t), s[end:]
	}
	return all
}

const (
	// A passage begins so many tokens before what matched, half of them words, and has
	// so many in all.
	passageBefore = 10
	passageLength = 40
)

// highlight is the name, and the passage of the description around the first match
// that the name does not have.
func (m marker) highlight(name, description string) string {
	title, body := m.tokens(name), m.tokens(description)
	at := slices.IndexFunc(body, func(t token) bool {
		return t.hit && !slices.ContainsFunc(title, func(n token) bool { return n.stem == t.stem })
	})
	if at < 0 {
		return markup(title)
	}
	from := max(0, at-passageBefore)
	to := min(len(body), from+passageLength)
	passage := markup(body[from:to])
	if to < len(body) {
		passage += " …"
	}
	return markup(title) + " … " + passage
}

func markup(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		text := html.EscapeString(t.text)
		if t.hit {
			text = "<mark>" + text + "</mark>"
		}
		b.WriteString(text)
	}
	return b.String()
}
