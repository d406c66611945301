package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/seed"
)

// What it costs to be watched: a product page of the whole program, from a replica,
// by a shop that measures nothing, one that has its metrics, and one that sends a
// trace of every request as well. The access log is off: it costs more than all of it.
func pages(b *testing.B) []dbtest.Contender {
	env := dbtest.New(b)
	in := seed.Generate(testProducts, 1)
	if err := catalog.New(env.DB, catalog.DefaultConfig()).Load(b.Context(), in, catalog.LoadOptions{}); err != nil {
		b.Fatal(err)
	}
	env.CatchUp(b)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	b.Cleanup(collector.Close)

	var list []dbtest.Contender
	for _, name := range []string{"unwatched", "unwatched again", "measured", "traced"} {
		flags := testFlags(b)
		flags.nodeFlags, flags.AccessLog = flagsOf(env.Config().Nodes), false
		if name == "traced" {
			flags.OTLPEndpoint = collector.URL
		}
		set, err := flags.settings()
		if err != nil {
			b.Fatal(err)
		}
		o := newObserver(set)
		if strings.HasPrefix(name, "unwatched") {
			o = nil
		}
		s, err := newObserved(set, slog.New(slog.DiscardHandler), o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.closeRouter)
		if err := s.router.AwaitPrimary(b.Context()); err != nil {
			b.Fatal(err)
		}
		list = append(list, dbtest.Contender{Name: name, Do: page(s.handler(), "/v1/products/"+in.Products[0].Slug)})
	}
	return list
}

func page(handler http.Handler, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		if rec.Code != http.StatusOK {
			return fmt.Errorf("%d %s", rec.Code, rec.Body)
		}
		return nil
	}
}

// BenchmarkRatio compares them, in rounds; see dbtest.Ratio:
//
//	go test -run '^$' -bench Ratio -benchtime 101x ./cmd/shop
func BenchmarkRatio(b *testing.B) { dbtest.Ratio(b, pages(b)) }

// BenchmarkPage shows the allocations of each.
func BenchmarkPage(b *testing.B) {
	for _, c := range pages(b) {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Do(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
