package catalog

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// searchSeeds are query strings, and SearchTexts what people type, by accident and on
// purpose; TestAnyTextIsHarmless searches for each.
var (
	searchSeeds = []string{
		"", "q=", "q=%20", "q=chair", "q=chair&q=sofa", "q=%00", "q=%ff", "q=oak&limit=0", "q=oak&limit=100&cursor=AAAA",
		"q=oak&facets=category,price,option.color", "q=oak&facets=price,price", "q=oak&facets=option.", "q=oak&facets=,",
		"q=oak&option=color:red&option=color:blue&option=size:m", "q=oak&option=:", "q=oak&option=a:b&option=c:d&option=e:f&option=g:h&option=i:j",
		"q=oak&price_min=5&price_max=1", "q=oak&price_min=9223372036854775807", "q=oak&in_stock=true&category=sofas", "q=oak&surprise=1", "q=a;b",
	}
	SearchTexts = []string{
		"'", `"`, `\`, "%", "_", "a:*", "!!!", "& | !", "(((", "<->", "the", "-", "--", "or", "-chair", "😀", "é̂", "大家", "' OR 1=1 --", "$1", ":*A",
		"''':*", `\x`, "\ue000mark\ue001", strings.Repeat("ab ", 33), strings.Repeat("大", 100), "<script>", "²", "ﬁn", "İ", "x <2> y", "lether chiar", "größe ß",
	}
)

// What is taken as a search is one that the database can be asked, and a query string
// that says it again is the same search.
func FuzzSearchQuery(f *testing.F) {
	for _, seed := range searchSeeds {
		f.Add(seed)
	}
	for _, text := range SearchTexts {
		f.Add("q=" + url.QueryEscape(text))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseSearch(asked(raw))
		if err != nil {
			if p, ok := errors.AsType[*web.Problem](err); !ok || p.Status != http.StatusBadRequest {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		options := q.Filter.Options
		if q.Text == "" || utf8.RuneCountInString(q.Text) > maxText || !web.CleanText(q.Text, "") || q.Limit < 1 || q.Limit > web.MaxLimit ||
			len(q.Facets) > maxFacets || len(options) > MaxOptionNames {
			t.Fatalf("%q is taken as %+v", raw, q)
		}
		for name, tags := range options {
			for _, tag := range tags {
				if !strings.HasPrefix(tag, name+":") || len(tag) == len(name)+1 || !web.CleanText(tag, "") {
					t.Fatalf("%q has the option %q", raw, tag)
				}
			}
		}
		again, err := parseSearch(asked(written(q)))
		if diff := cmp.Diff(q, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%q is taken as another search when it is written again: %v\n%s", raw, err, diff)
		}
	})
}

func asked(query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/search", nil)
	r.URL.RawQuery = query
	return r
}

// written is a query string for a search.
func written(q SearchQuery) string {
	v := url.Values{"q": {q.Text}, "limit": {strconv.Itoa(q.Limit)}}
	for name, p := range map[string]*int64{"price_min": q.Filter.PriceMin, "price_max": q.Filter.PriceMax} {
		if p != nil {
			v.Set(name, strconv.FormatInt(*p, 10))
		}
	}
	if q.Filter.InStock != nil {
		v.Set("in_stock", strconv.FormatBool(*q.Filter.InStock))
	}
	if q.Filter.Category != "" {
		v.Set("category", q.Filter.Category)
	}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	if len(q.Facets) > 0 {
		v.Set("facets", strings.Join(q.Facets, ","))
	}
	for _, name := range slices.Sorted(maps.Keys(q.Filter.Options)) {
		v["option"] = append(v["option"], q.Filter.Options[name]...)
	}
	return v.Encode()
}

// What search_query puts into quotes for to_tsquery is one word, in which nothing could
// end them.
func FuzzUnfinishedWord(f *testing.F) {
	for _, text := range SearchTexts {
		f.Add(text)
	}
	word := regexp.MustCompile(`^[\pL\pM\p{Nd}]*$`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, last := (way{mode: Prefix, typed: text}).asked(); len(words(text)) > 0 && !word.MatchString(last) {
			t.Errorf("%q ends with %q", text, last)
		}
	})
}

// Whatever text is taken for a cursor, it has no second spelling.
func FuzzReadCursor(f *testing.F) {
	for i, s := range cursorSorts {
		f.Add(byte(i), first(s, "").String())
	}
	f.Add(byte(3), cursor{sort: ByName, key: "Oak", bookmark: strings.Repeat("A", 50)}.String())
	f.Add(byte(0), "AAAA")
	f.Fuzz(func(t *testing.T, sort byte, text string) {
		s := cursorSorts[int(sort)%len(cursorSorts)]
		c, err := parseCursor(text, s, "")
		switch {
		case err != nil && !errors.Is(err, web.InvalidCursor):
			t.Errorf("%q: %v", text, err)
		case err == nil && text != "" && c.String() != text:
			t.Errorf("%q is read like %q", text, c.String())
		}
	})
}

// Anybody can write a cursor: it is not sealed. With those that are taken the database
// can be asked.
func TestCursorsThatAreTakenCanBeAsked(t *testing.T) {
	t.Parallel()
	env := dbtest.New(t)
	store := New(env.DB, DefaultConfig())
	keys := []string{
		"", "-1", "9223372036854775807", "-9223372036854775808", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "infinity", "NaN",
		timeKey(time.Unix(1e9, 1000)), "a", "'", `\`, "%", strings.Repeat("😀", 200), strings.Repeat("x", 1000),
	}
	taken := 0
	for _, s := range cursorSorts {
		for _, key := range append(keys, string(Exact)+" 0x1p-1074", string(Prefix)+" 0x1.fffffffffffffp+1023", string(Fuzzy)+" -0x1p+00") {
			q := SearchQuery{Text: "oak", Limit: 2}
			list := q.Filter.list(s, "")
			if s == relevance {
				list = q.Filter.list(s, q.Text)
			}
			q.Cursor = cursor{list: list, sort: s, key: key, id: id.Max}.String()
			if _, err := parseCursor(q.Cursor, s, list); err != nil {
				continue
			}
			taken++
			var err error
			if s == relevance {
				_, err = store.Search(t.Context(), q)
			} else {
				_, _, err = store.Products(t.Context(), ListQuery{Sort: s, Limit: 2, Cursor: q.Cursor})
			}
			if err != nil {
				t.Errorf("%s after %.40q: %v", s, key, err)
			}
		}
	}
	if taken < 20 {
		t.Errorf("%d cursors were taken", taken)
	}
}
