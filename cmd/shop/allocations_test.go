package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/seed"
)

// BenchmarkAllocations is what an answer of the whole program allocates, with the
// database behind it and without the access log; those of the request and the recorder
// of the test are in it.
//
//	go test -run '^$' -bench Allocations -benchmem -benchtime 500x ./cmd/shop
func BenchmarkAllocations(b *testing.B) {
	env := dbtest.New(b)
	in := seed.Generate(2000, 1)
	if err := catalog.New(env.DB, catalog.DefaultConfig()).Load(b.Context(), in, catalog.LoadOptions{}); err != nil {
		b.Fatal(err)
	}
	if _, err := env.Admin(b, env.Primary()).Exec(b.Context(), "UPDATE variants SET stock_quantity = 1000000"); err != nil {
		b.Fatal(err)
	}
	env.CatchUp(b)
	flags := testFlags(b)
	flags.nodeFlags, flags.AccessLog = flagsOf(env.Config().Nodes), false
	set, err := flags.settings()
	if err != nil {
		b.Fatal(err)
	}
	s, err := newServer(set, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.closeRouter)
	if err := s.router.AwaitPrimary(b.Context()); err != nil {
		b.Fatal(err)
	}
	handler := s.handler()

	words := strings.Fields(in.Products[0].Name)
	for _, page := range []struct{ name, path string }{
		{"product", "/v1/products/" + in.Products[0].Slug},
		{"list", "/v1/products"},
		{"category", "/v1/products?category=" + in.Categories[0].Slug},
		{"categories", "/v1/categories"},
		{"search", "/v1/search?q=" + strings.Join(words[len(words)-2:], "+")},
		{"suggest", "/v1/search/suggest?q=" + words[len(words)-1][:3]},
	} {
		b.Run(page.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				order(b, handler, http.StatusOK, "GET", page.path, "")
			}
		})
	}
	item := func(product int) string {
		return `{"variant_id":"` + in.Products[product].Variants[0].ID.String() + `","quantity":1}`
	}
	b.Run("checkout", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			first := 2 * (n % (len(in.Products) / 2))
			a := order(b, handler, http.StatusCreated, "POST", "/v1/carts", `{"items":[`+item(first)+","+item(first+1)+`]}`)
			b.StartTimer()
			order(b, handler, http.StatusCreated, "POST", "/v1/carts/"+a.field("id")+"/checkout", checkoutBody,
				"Authorization", "Bearer "+a.field("shopper_token"), "Idempotency-Key", "k")
		}
	})
}

// order asks the handler for what it must be able to give.
func order(b *testing.B, handler http.Handler, want int, method, path, body string, headers ...string) answer {
	r := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, r)
	if rec.Code != want {
		b.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}
