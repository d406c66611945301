package catalog_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// newNamedShop sells one product of each name, the first ones more popular.
func newNamedShop(t *testing.T, names ...string) *shop {
	t.Helper()
	s := newShop(t)
	in := catalog.Import{Categories: []catalog.ImportCategory{{ID: id.New(), Slug: "moebel", Name: "Möbel"}}}
	for i, name := range names {
		in.Products = append(in.Products, catalog.ImportProduct{
			ID: id.New(), Category: in.Categories[0].ID, Name: name, Slug: fmt.Sprint("p", i), Popularity: 1000 - i,
			Variants: []catalog.ImportVariant{{ID: id.New(), SKU: fmt.Sprint("sku", i), Price: 100, Stock: 1}},
		})
	}
	s.load(t, in)
	return s
}

// What people type with the keyboard that they have, about names as somebody else
// wrote them.
func TestWordsOfAnyLanguage(t *testing.T) {
	t.Parallel()
	s := newNamedShop(t, "Café Table", "Poster Größe 50", "Stühle Set", "Œuvre Lamp", "Straßenschild",
		norm.NFD.String("Crème Brûlée Dish"), "L'Oréal Mirror", "T-Shirt", "Half-Pint Glass", "Møbel Łódź", "Ångström Clock",
		"כיסא עץ", "كرسي خشبي", "椅子 Stand", "कुर्सी Seat", "Mug 🐈 Cat", "100% Wool Throw", "Snake_Case Print", `Back\Slash Hook`, "Oak Chair",
		norm.NFD.String("의자 Bench"))
	for name, texts := range map[string][]string{
		"Café Table":                         {"café", "cafe", "CAFÉ", "cafe\u0301", "caf", "cafe table", "Café, table!"},
		"Poster Größe 50":                    {"größe", "grosse", "GRÖSSE", "grösse", "gros", "poster 50", "groesse"},
		"Stühle Set":                         {"stühle", "stuhle", "STÜHLE", "stu\u0308hle", "stuehle", "sühle"},
		"Œuvre Lamp":                         {"œuvre", "oeuvre", "OEUVRE", "ŒUVRE", "œuv", "oeurve"},
		"Straßenschild":                      {"straßenschild", "strassenschild", "STRASSENSCHILD", "strass", "straß"},
		norm.NFD.String("Crème Brûlée Dish"): {"crème brûlée", "creme brulee", norm.NFD.String("crème"), "brûl", "crem brulee"},
		"L'Oréal Mirror":                     {"l'oréal", "loreal mirror", "L’Oréal", "oreal", "l oréal"},
		"T-Shirt":                            {"t-shirt", "t shirt", "T-Shirts", "tshirt", "shirt"},
		"Half-Pint Glass":                    {"half-pint", "half pint", "pint", "half-p"},
		"Møbel Łódź":                         {"møbel", "mobel", "moebel", "łódź", "lodz"},
		"Ångström Clock":                     {"ångström", "angstrom", "ÅNGSTRÖM", "A\u030angstro\u0308m"},
		"כיסא עץ":                            {"כיסא", "עץ כיסא", "\u200fכיסא", "כיס", "כסיא"},
		"كرسي خشبي":                          {"كرسي", "خشبي", "كرس"},
		"椅子 Stand":                           {"椅子", "椅"},
		"कुर्सी Seat":                        {"कुर्सी", "कुर्सी seat"},
		"Mug 🐈 Cat":                          {"mug 🐈", "🐈 mug", "cat😀", "mug🐈", "👩‍👩‍👧 mug"},
		"100% Wool Throw":                    {"100%", "100 wool", "100%wool", "%wool%"},
		"Snake_Case Print":                   {"snake_case", "snake case", "_case"},
		`Back\Slash Hook`:                    {`back\slash`, `slash\`, `\hook`, "back slash"},
		norm.NFD.String("의자 Bench"):          {"의자", norm.NFD.String("의자"), "의"},
		"Oak Chair": {
			"oak & chair", "oak | chair", "oak <-> chair", "oak:*", "(oak", "oak)", "oak!", "'oak'", `"oak chair"`, "oak&chair",
			"oak :A chair", "chair oak", "chairs", "oak cha", "the oak", "oka chiar",
		},
	} {
		for _, q := range texts {
			got := fetch[searchAnswer](t, s, query("/v1/search", "q", q))
			if names := got.names(); len(names) == 0 || names[0] != name {
				t.Errorf("q=%s (%s): %q, want %q", q, got.Query.Mode, names, name)
			}
		}
	}
	// None of these is a pattern, and none is near a word.
	for _, q := range []string{"%", "_", "%%%", "_ak", "o_k", `\`, "*", ".*", "!!!", "<->", "-", "''", "🐕", "🏳️‍🌈", "\u0301", "ck"} {
		if got := fetch[searchAnswer](t, s, query("/v1/search", "q", q)); len(got.Data) > 0 {
			t.Errorf("q=%s (%s): %q, want nothing", q, got.Query.Mode, got.names())
		}
	}
}

func TestSuggestionsOfAnyLanguage(t *testing.T) {
	t.Parallel()
	s := newNamedShop(t, "Café Table", "Stühle Set", "Œuvre Lamp", "כיסא עץ", "100% Wool", "Dining Table", "Oak Dining Chair")
	type answer struct{ Data []catalog.Suggestion }
	for q, want := range map[string][]string{
		"caf": {"Café Table"}, "cafe t": {"Café Table"}, "café": {"Café Table"}, "stu": {"Stühle Set"}, "STÜ": {"Stühle Set"},
		"stu\u0308": {"Stühle Set"}, "oeu": {"Œuvre Lamp"}, "œu": {"Œuvre Lamp"}, "כי": {"כיסא עץ"}, "100%": {"100% Wool"},
		"mob": {"Möbel"}, "MÖB": {"Möbel"}, "%o": {}, "_a": {},
		// Each letter of a word that is being typed leads on to it, also where its stem
		// ("dine") does not.
		"di": {"Dining Table", "Oak Dining Chair"}, "dinin": {"Dining Table", "Oak Dining Chair"},
		"dining": {"Dining Table", "Oak Dining Chair"}, "dining ta": {"Dining Table"}, "tables": {"Café Table", "Dining Table"},
		"chair dini": {"Oak Dining Chair"},
	} {
		texts := []string{}
		for _, suggestion := range fetch[answer](t, s, query("/v1/search/suggest", "q", q)).Data {
			texts = append(texts, suggestion.Text)
		}
		if !slices.Equal(texts, want) {
			t.Errorf("q=%s: %q, want %q", q, texts, want)
		}
	}
}

// A hundred characters, whatever they are made of.
func TestTheLengthOfAText(t *testing.T) {
	t.Parallel()
	s := newNamedShop(t, "Oak Chair")
	for _, r := range []string{"a", "ß", "大", "🐈", "e\u0301"[1:], "%", `"`, "a "} {
		for _, path := range []string{"/v1/search", "/v1/search/suggest"} {
			fits := strings.Repeat(r, 100/len([]rune(r)))
			if w := s.get(t, query(path, "q", fits)); w.Code != http.StatusOK {
				t.Errorf("%s: 100 times %q: %d %s", path, r, w.Code, w.Body)
			}
			if w := s.get(t, query(path, "q", fits+"x")); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "too_long") {
				t.Errorf("%s: 101 characters of %q: %d %s", path, r, w.Code, w.Body)
			}
		}
	}
}
