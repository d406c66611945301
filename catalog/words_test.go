package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"example.com/leeway/internal/dbtest"
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

func newAdmin(t *testing.T) *pgx.Conn {
	t.Helper()
	env := dbtest.New(t)
	return env.Admin(t, env.Primary())
}

// What marks a word here and what finds it there are the same: letters first, then
// words, as PostgreSQL makes lexemes of them.
func TestWordsAreFoldedAndStemmedAsInPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := newAdmin(t)
	var letters []string
	for r := 'A'; r <= 'ž'; r++ {
		if unicode.IsLetter(r) {
			letters = append(letters, string(r))
		}
	}
	theirs := lexemesOf(t, conn, "lower(unaccent(lower(w)))", letters)
	for i, letter := range letters {
		if got := fold(letter); got != theirs[i] {
			t.Errorf("fold(%s) = %q, PostgreSQL has %q", letter, got, theirs[i])
		}
	}
	theirs = lexemesOf(t, conn, "coalesce((tsvector_to_array(to_tsvector('shop_english', w)))[1], '')", someWords)
	for i, word := range someWords {
		if got := stem(fold(word)); got != theirs[i] {
			t.Errorf("stem(%s) = %q, PostgreSQL has %q", word, got, theirs[i])
		}
	}
}

// someWords have the endings that English has.
var someWords = strings.Fields(`chair chairs table tables knives knife shelves scarves dining lining mixing leather
	batteries battery happily quietly stationery organiser organisers lighting lights pillowcase pillowcases canvas glass
	glasses bathrobes trousers skis skies dying tied tying agreed feed plated filing hoping hopping failing fizzed
	relational conditional rational valency digitizer operator feudalism decisiveness hopefulness callousness formality
	sensitivity sensibility triplicate formative formalize electricity electrical goodness revival allowance inference
	airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption communism activate
	angularity homologous effective bowdlerize probate rate cease controlling rolling generously succeeded proceeding
	exceeding earring evening herring outing inning canning bias atlas cosmos news howe andes yielding youthful boyish
	Café Größe Stühle Œuvre Straßen Ångström naïve crème Möbel señora façade Łódź smörgåsbord`)

func lexemesOf(t *testing.T, conn *pgx.Conn, expression string, all []string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), fmt.Sprintf("SELECT %s FROM unnest($1::text[]) WITH ORDINALITY AS u (w, nr) ORDER BY nr", expression), all)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return theirs
}

// The index finds whatever a typo can have come from: two words that are two edits
// apart have a string in common, at whichever ends the edits are, also beyond the
// letters that are looked at.
func TestNeighbourhoodsOfNearWordsMeet(t *testing.T) {
	t.Parallel()
	conn := newAdmin(t)
	var words, typed []string
	far := 0
	rapid.Check(t, func(rt *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]rune("abcdeé大")), 2, 14)
		w := letters.Draw(rt, "word")
		x := slices.Clone(w)
		for range rapid.IntRange(1, 2).Draw(rt, "edits") {
			at := rapid.IntRange(0, len(x)-1).Draw(rt, "at")
			switch rapid.SampledFrom([]string{"insert", "delete", "replace", "swap"}).Draw(rt, "edit") {
			case "insert":
				x = slices.Insert(x, at, 'f')
			case "delete":
				x = slices.Delete(x, at, at+1)
			case "replace":
				x[at] = 'f'
			case "swap":
				if at > 0 {
					x[at-1], x[at] = x[at], x[at-1]
				}
			}
			if len(x) == 0 {
				return
			}
		}
		if distance(w, x) > 2 { // a swap across an edit is more than the sum
			far++
			return
		}
		words, typed = append(words, string(w)), append(typed, string(x))
	})
	if len(words) < 50 {
		t.Fatalf("%d pairs and %d that are further apart", len(words), far)
	}
	rows, err := conn.Query(context.Background(), `SELECT w || ' and ' || x FROM unnest($1::text[], $2::text[]) AS p (w, x)
		WHERE NOT deletion_neighbourhood(w) && deletion_neighbourhood(x)`, words, typed)
	if err != nil {
		t.Fatal(err)
	}
	apart, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(apart) > 0 {
		t.Errorf("no string in common: %q, %v", apart, err)
	}
	var most int
	if err := conn.QueryRow(context.Background(), "SELECT cardinality(deletion_neighbourhood('abcdefghijkl'))").Scan(&most); err != nil || most != 37 {
		t.Errorf("%d strings, %v; want 37", most, err)
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

func TestHighlight(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Nothing of that kind, here as there. ", 20)
	for _, test := range []struct{ query, name, description, want string }{
		{"'oak' & 'chair'", "Oak Chairs", "", "<mark>Oak</mark> <mark>Chairs</mark>"},
		{"'din':* | 'dine'", "Dining Table", "", "<mark>Dining</mark> Table"},
		{"'cafe' & 'gross'", "Café-Größe, cafe\u0301", "", "<mark>Café</mark>-<mark>Größe</mark>, <mark>cafe\u0301</mark>"},
		{"'b'", `<b> & "B"`, "", "&lt;<mark>b</mark>&gt; &amp; &#34;<mark>B</mark>&#34;"},
		{"'oak' & !'chair'", "Oak Table", "Oak <as> ever.", "<mark>Oak</mark> Table"}, // the name has it
		{"'oak' & 'ever'", "Oak Table", "Oak <as> ever.", "<mark>Oak</mark> Table … <mark>Oak</mark> &lt;as&gt; <mark>ever</mark>."},
		{
			"'oak'", "Table", long + "Solid oak. " + long,
			"Table … kind, here as there. Solid <mark>oak</mark>. Nothing of that kind, here as there. Nothing of that kind, here as there. …",
		},
	} {
		if got := newMarker(test.query).highlight(test.name, test.description); got != test.want {
			t.Errorf("%s in %q:\n%q, want\n%q", test.query, test.name, got, test.want)
		}
	}
}
