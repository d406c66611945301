package catalog

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`it's (a) & !b | c:* \ 100%_x`: {"it", "s", "a", "b", "c", "100", "x"},
		"größe 大 कुर्सी":               {"größe", "大", "कुर्सी"},
		"!!! 🐈":                        nil,
	} {
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("words(%q) = %q, want %q", text, got, want)
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
