package catalog_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/seed"
	"example.com/leeway/internal/web"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// A shop is the catalog on a database of its own, from HTTP down to the rows.
type shop struct {
	*dbtest.Env
	store   *catalog.Store
	handler http.Handler
	admin   *pgx.Conn
}

func newShop(t testing.TB) *shop {
	t.Helper()
	env := dbtest.New(t)
	s := &shop{Env: env, store: catalog.New(env.DB, catalog.DefaultConfig()), admin: env.Admin(t, env.Primary())}
	s.serve(t, s.store)
	return s
}

func (s *shop) serve(t testing.TB, store *catalog.Store) {
	router := chi.NewRouter()
	render := web.NewRenderer(slog.New(slog.NewTextHandler(t.Output(), nil)))
	router.NotFound(render.NotFound)
	catalog.Routes(router, store, render)
	s.handler = router
}

// newLoadedShop has generated products, on every node.
func newLoadedShop(t *testing.T, products int) (*shop, catalog.Import) {
	t.Helper()
	s, in := newShop(t), seed.Generate(products, 1)
	s.load(t, in)
	return s, in
}

func (s *shop) load(t testing.TB, in catalog.Import) {
	t.Helper()
	if err := s.store.Load(t.Context(), in, catalog.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "ANALYZE")
	s.CatchUp(t)
}

func (s *shop) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := s.admin.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// scan reads one value from the primary.
func scan[T any](t *testing.T, s *shop, sql string, args ...any) (v T) {
	t.Helper()
	if err := s.admin.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *shop) get(t *testing.T, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// fetch wants a 200 and decodes it.
func fetch[T any](t *testing.T, s *shop, target string) (v T) {
	t.Helper()
	w := s.get(t, target)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("GET %s: %v in %s", target, err, w.Body)
	}
	return v
}

func query(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return path + "?" + values.Encode()
}
