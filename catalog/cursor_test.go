package catalog

import (
	"encoding/base64"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/leeway/internal/id"
)

func TestCursorSurvivesTheTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCursor(t)
		got, err := parseCursor(c.String())
		if err != nil || got != c {
			t.Fatalf("parseCursor(%v.String()) = %+v, %v", c, got, err)
		}
	})
}

func drawCursor(t *rapid.T) cursor {
	c := cursor{
		sort:     rapid.SampledFrom(sortCodes).Draw(t, "sort"),
		id:       id.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		match:    rapid.Uint64().Draw(t, "match"),
		timeline: rapid.Uint32().Draw(t, "timeline"),
		lsn:      rapid.Uint64().Draw(t, "lsn"),
	}
	row := Summary{
		ID:         c.id,
		Name:       rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 1, 200, -1).Draw(t, "name"),
		PriceRange: PriceRange{Min: Money{Amount: rapid.Int64().Draw(t, "price")}},
		CreatedAt:  time.UnixMicro(rapid.Int64Range(-62e15, 250e15).Draw(t, "created_at")),
	}
	if c.sort == relevance {
		mode := rapid.SampledFrom([]Mode{Exact, Prefix, Fuzzy}).Draw(t, "mode")
		c.key = scoreKey(mode, rapid.Float64().Draw(t, "score"))
		return c
	}
	return c.after(row)
}

func TestCursorIsRefused(t *testing.T) {
	t.Parallel()
	good := cursor{sort: ByName, key: "Oak Sofa", match: 1}
	raw, err := base64.RawURLEncoding.DecodeString(good.String())
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, to byte) string {
		b := append([]byte{}, raw...)
		b[at] = to
		return base64.RawURLEncoding.EncodeToString(b)
	}
	keyed := func(s Sort, key string) string { return cursor{sort: s, key: key}.String() }
	for name, text := range map[string]string{
		"not base64":         "%%%",
		"padded":             good.String() + "=",
		"line break":         good.String()[:8] + "\n" + good.String()[8:],
		"short":              good.String()[:20],
		"long":               keyed(ByName, string(make([]byte, maxCursorText))),
		"other version":      changed(0, cursorVersion+1),
		"unknown sort":       changed(1, byte(len(sortCodes))),
		"name with NUL":      keyed(ByName, "a\x00b"),
		"name not UTF-8":     keyed(ByName, "\xff"),
		"price with blank":   keyed(Cheapest, " 1"),
		"price overflows":    keyed(Dearest, "9223372036854775808"),
		"time is a word":     keyed(Newest, "infinity"),
		"year zero":          keyed(Newest, "0000-01-01T00:00:00Z"),
		"time with offset":   keyed(Newest, "2026-01-01T00:00:00+01:00"),
		"score is not a sum": keyed(relevance, "exact NaN"),
		"score is infinite":  keyed(relevance, "exact +Inf"),
		"unknown mode":       keyed(relevance, "psychic 0x1p+00"),
		"score alone":        keyed(relevance, "0x1p+00"),
	} {
		if c, err := parseCursor(text); !errors.Is(err, ErrInvalidCursor) {
			t.Errorf("%s: parseCursor(%q) = %+v, %v; want ErrInvalidCursor", name, text, c, err)
		}
	}
}

func TestCursorBelongsToItsList(t *testing.T) {
	t.Parallel()
	dear, red := int64(1000), map[string][]string{"color": {"color:red", "color:blue"}}
	mine := Filter{Category: "sofas", PriceMin: &dear, Options: red}
	text := cursor{sort: Newest, key: timeKey(time.Unix(0, 0)), match: mine.fingerprint("")}.String()

	same := mine
	same.Options = map[string][]string{"color": {"color:blue", "color:red"}} // in another order
	if _, err := resume(text, Newest, same.fingerprint("")); err != nil {
		t.Errorf("resume of the same list: %v", err)
	}
	other := mine
	other.InStock = new(bool)
	for name, try := range map[string]struct {
		sort  Sort
		match uint64
	}{
		"sort":   {Cheapest, mine.fingerprint("")},
		"filter": {Newest, other.fingerprint("")},
		"search": {Newest, mine.fingerprint("sofa")},
	} {
		if _, err := resume(text, try.sort, try.match); !errors.Is(err, ErrInvalidCursor) {
			t.Errorf("resume with another %s: %v, want ErrInvalidCursor", name, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{sort: Newest, key: timeKey(time.Unix(1e9, 1000))}.String())
	f.Add(cursor{sort: Cheapest, key: "1999", lsn: math.MaxUint64}.String())
	f.Add(cursor{sort: relevance, key: scoreKey(Fuzzy, 0.5)}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			return
		}
		if again := c.String(); again != text {
			t.Errorf("%q reads as %+v, which is written %q", text, c, again)
		}
	})
}
