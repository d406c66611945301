package catalog

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

var cursorSorts = []Sort{Newest, Cheapest, Dearest, ByName, relevance}

func TestCursorSurvivesTheTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCursor(t)
		got, err := parseCursor(c.String(), c.sort, c.list)
		if err != nil || got != c {
			t.Fatalf("resume(%v.String()) = %+v, %v", c, got, err)
		}
	})
}

func drawCursor(t *rapid.T) cursor {
	c := cursor{
		list:     rapid.String().Draw(t, "list"),
		sort:     rapid.SampledFrom(cursorSorts).Draw(t, "sort"),
		bookmark: rapid.StringN(0, 50, 255).Draw(t, "bookmark"),
		id:       id.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
	}
	row := Summary{
		ID:         c.id,
		Name:       rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 1, 200, -1).Draw(t, "name"),
		PriceRange: PriceRange{Min: Money{Amount: rapid.Int64().Draw(t, "price")}},
		CreatedAt:  time.UnixMicro(rapid.Int64Range(-62e15, 250e15).Draw(t, "created_at")),
	}
	if c.sort == relevance {
		w := way{mode: rapid.SampledFrom([]Mode{Exact, Prefix, Fuzzy}).Draw(t, "mode")}
		if w.mode == Fuzzy {
			w.meant.any = rapid.Bool().Draw(t, "any")
			w.meant.words = rapid.SliceOfN(rapid.StringMatching(`[\pL\pM\p{Nd}]{1,9}`), 1, 9).Draw(t, "words")
		}
		score := rapid.Float64().Draw(t, "score")
		c.key = scoreKey(w, score)
		if got, n, ok := parseScoreKey(c.key); !ok || n != score || !reflect.DeepEqual(got, w) {
			t.Fatalf("parseScoreKey(%q) = %+v, %v, %v; want %+v, %v", c.key, got, n, ok, w, score)
		}
		return c
	}
	return c.after(row)
}

// The longest name that the schema takes must not make a cursor that the shop
// then refuses.
func TestLongestNameMakesACursor(t *testing.T) {
	t.Parallel()
	c := first(ByName, "list").after(Summary{ID: id.Max, Name: strings.Repeat("😀", 200)})
	if got, err := parseCursor(c.String(), ByName, "list"); err != nil || got != c {
		t.Errorf("a cursor of %d characters: %v", len(c.String()), err)
	}
}

// What is wrong with the envelope is web's to find; this is about the keys.
func TestCursorIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]cursor{
		"name with NUL":            {sort: ByName, key: "a\x00b"},
		"name not UTF-8":           {sort: ByName, key: "\xff"},
		"price with blank":         {sort: Cheapest, key: " 1"},
		"price overflows":          {sort: Dearest, key: "9223372036854775808"},
		"time is a word":           {sort: Newest, key: "infinity"},
		"year zero":                {sort: Newest, key: "0000-01-01T00:00:00Z"},
		"time with offset":         {sort: Newest, key: "2026-01-01T00:00:00+01:00"},
		"score is not a sum":       {sort: relevance, key: "exact NaN"},
		"score is infinite":        {sort: relevance, key: "exact +Inf"},
		"unknown mode":             {sort: relevance, key: "psychic 0x1p+00"},
		"score alone":              {sort: relevance, key: "0x1p+00"},
		"fuzzy for nothing":        {sort: relevance, key: "fuzzy 0x1p+00 all"},
		"fuzzy with an empty word": {sort: relevance, key: "fuzzy 0x1p+00 all oak  chair"},
		"fuzzy with operators":     {sort: relevance, key: `fuzzy 0x1p+00 all " or "`},
		"fuzzy for neither":        {sort: relevance, key: "fuzzy 0x1p+00 most oak"},
		"exact with words":         {sort: relevance, key: "exact 0x1p+00 all oak"},
	} {
		if got, err := parseCursor(c.String(), c.sort, ""); !errors.Is(err, web.InvalidCursor) {
			t.Errorf("%s: resume of %q = %+v, %v; want InvalidCursor", name, c.key, got, err)
		}
	}
	if _, err := parseCursor(web.NewCursor("", "", make([]byte, 15)), ByName, ""); !errors.Is(err, web.InvalidCursor) {
		t.Errorf("half an id: %v, want InvalidCursor", err)
	}
}

func TestCursorBelongsToItsList(t *testing.T) {
	t.Parallel()
	dear, red := int64(1000), map[string][]string{"color": {"color:red", "color:blue"}}
	mine := Filter{Category: "sofas", PriceMin: &dear, Options: red}
	text := cursor{list: mine.list(Newest, ""), sort: Newest, key: timeKey(time.Unix(0, 0))}.String()

	same := mine
	same.Options = map[string][]string{"color": {"color:blue", "color:red"}} // in another order
	if _, err := parseCursor(text, Newest, same.list(Newest, "")); err != nil {
		t.Errorf("resume of the same list: %v", err)
	}
	other := mine
	other.InStock = new(bool)
	for name, list := range map[string]string{
		"sort":   mine.list(Cheapest, ""),
		"filter": other.list(Newest, ""),
		"search": mine.list(Newest, "sofa"),
	} {
		if _, err := parseCursor(text, Newest, list); !errors.Is(err, web.InvalidCursor) {
			t.Errorf("resume with another %s: %v, want InvalidCursor", name, err)
		}
	}
}

// FuzzCursor is about the keys: whatever one is read, it has no second spelling.
func FuzzCursor(f *testing.F) {
	f.Add(byte(0), timeKey(time.Unix(1e9, 1000)))
	f.Add(byte(1), "1999")
	f.Add(byte(2), "9223372036854775807")
	f.Add(byte(4), scoreKey(way{mode: Fuzzy, meant: correction{words: []string{"oak"}}}, math.SmallestNonzeroFloat64))
	f.Fuzz(func(t *testing.T, sort byte, key string) {
		c := cursor{sort: cursorSorts[int(sort)%len(cursorSorts)], key: key}
		got, err := parseCursor(c.String(), c.sort, "")
		if err == nil && got != c {
			t.Errorf("%+v reads as %+v", c, got)
		}
	})
}
