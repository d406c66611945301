package catalog

import (
	"html"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A marker finds the words of a text that a search has matched. It is here and not in
// the query because ts_headline parses and stems each text again, 0.2 ms a time, which
// for a page was ten times the search.
type marker struct {
	stems    []string
	prefixes []string
	seen     map[string]token // by its text: the hits of a search have most words in common
}

// lexemes are what a tsquery is made of when it is text, such as 'oak' & 'tabl':*.
var lexemes = regexp.MustCompile(`'([^']+)'(:\*)?`)

func newMarker(query string) marker {
	m := marker{seen: map[string]token{}}
	for _, match := range lexemes.FindAllStringSubmatch(query, -1) {
		if match[2] == "" {
			m.stems = append(m.stems, match[1])
		} else {
			m.prefixes = append(m.prefixes, match[1])
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

func (m marker) tokens(s string) iter.Seq[token] {
	return func(yield func(token) bool) {
		for len(s) > 0 {
			first, _ := utf8.DecodeRuneInString(s)
			word := inWord(first)
			end := strings.IndexFunc(s, func(r rune) bool { return inWord(r) != word })
			if end < 0 {
				end = len(s)
			}
			t := token{text: s[:end]}
			if word {
				t = m.word(t.text)
			}
			if !yield(t) {
				return
			}
			s = s[end:]
		}
	}
}

func (m marker) word(text string) token {
	if t, ok := m.seen[text]; ok {
		return t
	}
	w := fold(text)
	t := token{text: text, stem: stem(w)}
	t.hit = slices.Contains(m.stems, t.stem) ||
		slices.ContainsFunc(m.prefixes, func(p string) bool { return strings.HasPrefix(w, p) })
	m.seen[text] = t
	return t
}

const (
	// A passage has so many tokens before what matched, half of them words, and so many
	// in all.
	passageBefore = 10
	passageLength = 40
)

// highlight is the name, and a passage of the description if that has a match which the
// name does not have.
func (m marker) highlight(name, description string) string {
	title := slices.Collect(m.tokens(name))
	if passage := m.passage(description, title); passage != "" {
		return markup(title) + " … " + passage
	}
	return markup(title)
}

func (m marker) passage(description string, title []token) string {
	found := false
	var window []token
	for t := range m.tokens(description) {
		switch {
		case found && len(window) == passageLength:
			return strings.TrimSpace(markup(window)) + " …"
		case !found && len(window) > passageBefore:
			window = window[1:]
		}
		window = append(window, t)
		found = found || t.hit && !slices.ContainsFunc(title, func(n token) bool { return n.stem == t.stem })
	}
	if !found {
		return ""
	}
	return markup(window)
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
