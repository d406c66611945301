package catalog_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
)

// Who has another's answer cannot tell: it is the same, with all of its headers, and that of
// the page that they asked for.
func TestACrowdIsToldTheSame(t *testing.T) {
	s, in := newLoadedShop(t, 60)
	keys, err := fresh.NewKeyring([]byte("of-a-test-and-thirty-two-bytes-long"))
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	config := s.Config()
	config.Metrics = registry
	router := s.NewRouter(t, config)
	s.serve(t, catalog.New(db.New(router), catalog.DefaultConfig()))
	s.handler = router.Middleware(keys)(s.handler)

	slug, name := in.Products[0].Slug, in.Products[0].Name
	paths := []string{
		"/v1/categories", "/v1/categories?depth=1", "/v1/categories/" + in.Categories[0].Slug,
		"/v1/products?limit=7", "/v1/products?limit=8", "/v1/products/" + slug, "/v1/products/" + in.Products[1].Slug,
		"/v1/search?q=" + name[:4], "/v1/search?q=" + in.Products[1].Name[:4], "/v1/search/suggest?q=" + slug[:3],
	}
	for _, path := range paths[3:5] { // the page behind, which must see what this one saw
		next := s.get(t, path).Header().Get("Link")
		paths = append(paths, next[1:strings.Index(next, ">")])
	}
	alone := map[string]answer{}
	for _, path := range paths {
		alone[path] = told(s.get(t, path))
		if a := alone[path]; a.code != http.StatusOK || a.header.Get(fresh.SourceHeader) == "" {
			t.Fatalf("%s: %+v", path, a)
		}
	}
	for range 10 {
		for path, all := range s.crowds(t, paths) {
			for _, w := range all {
				if w := told(w); !reflect.DeepEqual(w, alone[path]) {
					t.Fatalf("%s: one of a crowd was answered\n%+v\nand who asked alone\n%+v", path, w, alone[path])
				}
			}
		}
	}
	if shared(t, registry) == 0 {
		t.Error("nobody had another's answer")
	}
	if w := s.get(t, "/v1/products/"+slug, "If-None-Match", s.get(t, "/v1/products/"+slug).Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("who has the page was answered %d", w.Code)
	}
}

// crowds asks for each page eight times, and for all of them at once.
func (s *shop) crowds(t *testing.T, paths []string) map[string][]*httptest.ResponseRecorder {
	answers := map[string][]*httptest.ResponseRecorder{}
	var wg sync.WaitGroup
	for _, path := range paths {
		all := make([]*httptest.ResponseRecorder, 8)
		answers[path] = all
		for i := range all {
			wg.Go(func() { all[i] = s.get(t, path) })
		}
	}
	wg.Wait()
	return answers
}

// An answer is compared without its time: a cursor is sealed with the second, and with how
// far its page saw, and the source says how old that may be. A cursor that is not sealed is
// shorter.
type answer struct {
	code   int
	header http.Header
	body   string
}

var (
	cursors = regexp.MustCompile(`cursor(":"|=)[\w-]+`)
	bounds  = regexp.MustCompile(`replica;name="[\w-]+";bound-ms=\d+`)
)

func told(w *httptest.ResponseRecorder) answer {
	a := answer{w.Code, w.Header().Clone(), timeless(w.Body.String())}
	for _, values := range a.header {
		for i, v := range values {
			values[i] = bounds.ReplaceAllString(timeless(v), "a replica")
		}
	}
	return a
}

func timeless(text string) string {
	return cursors.ReplaceAllStringFunc(text, func(cursor string) string { return fmt.Sprint("cursor of ", len(cursor), " letters") })
}

func shared(t *testing.T, registry *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "leeway_coalesced_total" {
			n = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}
