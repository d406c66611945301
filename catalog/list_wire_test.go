package catalog

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestListsAreWrittenAsEncodingJSONDoes: for each byte and each rune that JSON may escape,
// and for anything.
func TestListsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	texts := []string{"", "oak chair", "\u2028", "\u2029", "\ufffd", "\xe2\x80", "Łódź 椅子 🪑", "a<b>&c</b>", `"\`}
	for c := range 256 {
		texts = append(texts, string(rune(c)), string([]byte{'a', byte(c), 'z'}))
	}
	scores := []float64{0, 0.01, 0.123457, 1, 1e-6, 9.99e-7, 1e20, 1e21, -0.5, -1e-7, math.MaxFloat64, math.SmallestNonzeroFloat64}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 5000 {
		text := func() string { return texts[r.IntN(len(texts))] + texts[r.IntN(len(texts))] }
		name := text()
		if n < len(texts) {
			name = texts[n]
		}
		summaries, hits := []Summary{}, []Hit{}
		for i := range r.IntN(4) {
			s := Summary{
				ID: id.ID(randomBytes(r, 16)), Slug: text(), Name: name, InStock: r.IntN(2) == 0,
				PriceRange: PriceRange{Money{r.Int64(), text()}, Money{-r.Int64N(100), "EUR"}},
				Category:   CategoryRef{text(), text()},
				CreatedAt:  time.Unix(r.Int64N(200_000_000_000), r.Int64N(1e9)/int64(math.Pow10(i*3))*int64(math.Pow10(i*3))).UTC(),
			}
			score := scores[r.IntN(len(scores))]
			if i == 0 {
				score = math.Round(r.Float64()*1e6) / 1e6
			}
			summaries, hits = append(summaries, s), append(hits, Hit{s, score, text()})
		}
		page := web.NewPage(r.IntN(100), text())
		wantSame(t, productList{summaries, page})
		facets := []Facet{{Name: text(), Kind: "terms", Values: []FacetValue{}}}
		suggestion := text()
		wantSame(t, searchAnswer{hits, facets[:n%2], QueryInfo{Q: text(), Mode: Exact, Suggestion: &suggestion, Capped: n%3 == 0}, page})
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// wantSame encodes v as the shop does, and by the tags of its fields.
func wantSame(t *testing.T, v web.Appender) {
	t.Helper()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	if got, err := web.Encode(v); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%s, %v; want\n%s", got, err, &want)
	}
}

// BenchmarkList encodes a page of 24 products, and the same by reflection.
func BenchmarkList(b *testing.B) {
	page := productList{make([]Summary, 24), web.NewPage(24, "AnQKbs0Cl2u6MgGU5vxqW1pX0b3Yz1hB3kq1dQ")}
	for i := range page.Data {
		page.Data[i] = Summary{
			ID: id.New(), Slug: "corso-waxed-cotton-rucksack", Name: "Corso Waxed Cotton Rucksack", InStock: true,
			PriceRange: PriceRange{Money{12900, "EUR"}, Money{14900, "EUR"}},
			Category:   CategoryRef{"travel-luggage-duffels", "Duffels"}, CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
		}
	}
	for name, v := range map[string]any{"appended": page, "reflected": web.List[Summary](page)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := web.Encode(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
