package catalog_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// Who has another's answer cannot tell: it is the same, with all of its headers.
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

	slug := in.Products[0].Slug
	for _, path := range []string{
		"/v1/categories", "/v1/categories/" + in.Categories[0].Slug, "/v1/products?limit=7", "/v1/products/" + slug,
		"/v1/search?q=" + in.Products[0].Name[:4], "/v1/search/suggest?q=" + slug[:3],
	} {
		alone := told(s.get(t, path))
		if alone.code != http.StatusOK || alone.header.Get(fresh.SourceHeader) == "" {
			t.Fatalf("%s: %+v", path, alone)
		}
		before := shared(t, registry)
		dbtest.Eventually(t, "some share an answer to "+path, func() bool {
			for _, w := range s.crowd(t, path) {
				if w := told(w); !reflect.DeepEqual(w, alone) {
					t.Fatalf("%s: one of a crowd was answered\n%+v\nand who asked alone\n%+v", path, w, alone)
				}
			}
			return shared(t, registry) > before
		})
	}
	if w := s.get(t, "/v1/products/"+slug, "If-None-Match", s.get(t, "/v1/products/"+slug).Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("who has the page was answered %d", w.Code)
	}
}

// crowd asks for one page sixteen times at once.
func (s *shop) crowd(t *testing.T, path string) []*httptest.ResponseRecorder {
	answers := make([]*httptest.ResponseRecorder, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = s.get(t, path) })
	}
	wg.Wait()
	return answers
}

// An answer is compared without its time: a cursor is sealed with the second, and with how
// far its page saw, and the source says how old that may be.
type answer struct {
	code   int
	header http.Header
	body   string
}

var (
	cursors = regexp.MustCompile(`("next_cursor":"|cursor=)[\w-]+`)
	bounds  = regexp.MustCompile(`replica;name="[\w-]+";bound-ms=\d+`)
)

func told(w *httptest.ResponseRecorder) answer {
	a := answer{w.Code, w.Header().Clone(), cursors.ReplaceAllString(w.Body.String(), "$1")}
	a.header.Del("Content-Length")
	for _, values := range a.header {
		for i, v := range values {
			values[i] = bounds.ReplaceAllString(cursors.ReplaceAllString(v, "$1"), "a replica")
		}
	}
	return a
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
