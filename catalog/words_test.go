package catalog

import (
	"testing"

	"pgregory.net/rapid"

	"example.com/leeway/db/readq"
)

func TestPrefixQuery(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, weight, want string }{
		{"waln", "", "'waln':*"},
		{"oak tab", "", "'oak' & 'tab':*"},
		{"oak tab", "A", "'oak':A & 'tab':*A"},
		{`it's (a) & !b | c:* \`, "", "'it' & 's' & 'a' & 'b' & 'c':*"},
		{"größe 大", "", "'größe' & '大':*"},
		{"!!! ", "A", ""},
	} {
		if got := prefixQuery(test.text, test.weight); got != test.want {
			t.Errorf("prefixQuery(%q, %q) = %q, want %q", test.text, test.weight, got, test.want)
		}
	}
}

func TestSuggestion(t *testing.T) {
	t.Parallel()
	rows := []readq.SearchPageRow{{Name: "Alba Walnut Lounge Chair"}, {Name: "Oak Chair"}}
	for text, want := range map[string]string{
		"walnt charr":  "walnut chair",
		"Wlanut":       "walnut",
		"chiar":        "chair",
		"walnut chair": "",          // nothing to correct
		"bicycle":      "",          // nothing is near
		"oak chiar":    "oak chair", // what is right stays
		"":             "",
	} {
		got := ""
		if s := suggestion(text, rows); s != nil {
			got = *s
		}
		if got != want {
			t.Errorf("suggestion(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestDistanceIsOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := []rune(rapid.StringN(2, 20, -1).Draw(t, "word"))
		at := rapid.IntRange(0, len(w)-2).Draw(t, "at")
		deleted := append(append([]rune{}, w[:at]...), w[at+1:]...)
		swapped := append([]rune{}, w...)
		swapped[at], swapped[at+1] = swapped[at+1], swapped[at]
		want := 1
		if w[at] == w[at+1] {
			want = 0
		}
		if d := distance(w, w); d != 0 {
			t.Errorf("distance of %q to itself is %d", string(w), d)
		}
		if a, b := distance(w, deleted), distance(deleted, w); a != 1 || b != 1 {
			t.Errorf("one rune less: %d and back %d, want 1", a, b)
		}
		if d := distance(w, swapped); d != want {
			t.Errorf("neighbours swapped: %d, want %d", d, want)
		}
	})
}
