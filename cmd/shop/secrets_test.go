package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/dbtest"
)

// Whatever goes wrong, and wherever a client puts its secrets, the log of the level
// debug tells none; testLog looks for them. Here it is seen that it had something to
// look at: that each thing really went wrong, and was logged.
func TestNoFailureTellsSecrets(t *testing.T) {
	b := newBackOffice(t, func(c *serveCmd) { c.RequestTimeout = time.Second })
	me := b.newShopper(t, item(b.variant, "1"))
	logged := func(what string) {
		t.Helper()
		dbtest.Eventually(t, what+" is logged", func() bool { return strings.Contains(b.log.String(), what) })
	}
	b.misplaceSecrets(t, me)
	logged(`code=unknown_field`)
	logged(`code=unknown_parameter`)
	logged(`route=/v1/products/{slug} status=404`)
	logged(`msg="admin key refused"`)

	// PostgreSQL quotes what it cannot read, and the row that a constraint refuses.
	owner := b.Admin(t, b.Primary())
	for code, do := range map[string]string{"22P02": "PERFORM NEW.email::integer", "23514": "NEW.total := -1"} {
		_, err := owner.Exec(t.Context(), `CREATE OR REPLACE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN `+do+`; RETURN NEW; END $$;
			CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION public.fail()`)
		if err != nil {
			t.Fatal(err)
		}
		if a := me.checkout(t, code); a.status != 500 {
			t.Errorf("%s: %d %s", code, a.status, a.body)
		}
		logged("SQLSTATE " + code)
	}

	panicking := b.handler().(*chi.Mux)
	panicking.Get("/panic", func(_ http.ResponseWriter, r *http.Request) {
		panic(r.Header.Get("Cookie") + r.Header.Get("Authorization"))
	})
	srv := httptest.NewServer(panicking)
	defer srv.Close()
	if _, a := exchange(t, srv.Client(), "GET", srv.URL+"/panic", nil, "Authorization", me.auth); a.status != 500 || leak(string(a.body)) != "" {
		t.Errorf("a panic: %d %s", a.status, a.body)
	}
	logged("msg=panic")
	logged("a value of type string")

	for _, n := range b.Cluster.Nodes() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
	}
	for _, n := range b.Cluster.Nodes() {
		dbtest.Do(t, n.Freeze)
	}
	dbtest.Eventually(t, "no node answers", func() bool { return b.get(t, "/readyz").status == 503 })
	for _, a := range []answer{
		me.do(t, "GET", me.cart, ""), me.checkout(t, "down"), b.get(t, "/v1/search?q="+canaryHome),
		b.adminDo(t, "POST", "/v1/admin/categories", `{"name":"`+canaryHome+`","slug":"`+canaryHome+`"}`),
	} {
		if a.status < 503 {
			t.Errorf("without a database: %d %s", a.status, a.body)
		}
	}
	logged(`msg="node does not answer"`)
	logged("status=503")
}

// misplaceSecrets sends them where they do not belong. Some answers repeat to a client
// what it called things, which is why send would object to these.
func (b *backOffice) misplaceSecrets(t *testing.T, me *shopper) {
	t.Helper()
	token := strings.TrimPrefix(me.auth, "Bearer ")
	for _, try := range []struct {
		method, path, body string
		headers            []string
	}{
		{"GET", "/v1/search?q=" + canaryHome, "", nil},
		{"GET", "/v1/products?" + canary + "=1&token=" + token, "", nil},
		{"GET", "/v1/products/" + token, "", nil},
		{"GET", "/v1/products/" + canary, "", nil},
		{"GET", "/v1/carts/" + token, "", nil},
		{"GET", "/" + canary + "/" + token, "", nil},
		{"DELETE", "/v1/products/" + token, "", nil},
		{"GET", me.cart, "", []string{"Authorization", "Basic " + canary}},
		{"GET", me.cart, "", []string{"Authorization", "Bearer " + canary, "Consistency-Token", canary, "X-Request-Id", canary + ";"}},
		{"GET", me.cart, "", []string{"X-API-Key", canaryAll, "If-Match", canary, "Accept", canary}},
		{"POST", "/v1/carts", `{"` + canary + `":1}`, nil},
		{"POST", "/v1/carts", `{"items":"` + canary + `"}`, nil},
		{"POST", "/v1/carts", canary, nil},
		{"POST", me.cart + "/checkout", strings.Replace(checkoutBody, "@", " ", 1), []string{"Authorization", me.auth, "Idempotency-Key", "k"}},
		{"POST", me.cart + "/checkout", checkoutBody, []string{"Authorization", me.auth, "Idempotency-Key", canary + "\u00a0"}},
	} {
		headers := append([]string{"Content-Type", "application/json"}, try.headers...)
		exchange(t, http.DefaultClient, try.method, b.url+try.path, strings.NewReader(try.body), headers...)
		exchange(t, http.DefaultClient, try.method, b.back+try.path, strings.NewReader(try.body), append(headers, "X-API-Key", canaryAll)...)
	}
	exchange(t, http.DefaultClient, "PATCH", b.back+"/v1/admin/products/"+canaryAll, strings.NewReader("{}"), "X-API-Key", canaryAll)
	exchange(t, http.DefaultClient, "GET", b.back+"/v1/admin/products/"+canaryAll, nil, "X-API-Key", canaryStock+canary)
}

// No command repeats a secret from its settings: not in its help, not when the settings
// are wrong, and not when nobody answers.
func TestCommandsTellNoSecrets(t *testing.T) {
	nobody := "postgres://shop_rw:" + canary + "@127.0.0.1:1/shop"
	for name, value := range map[string]string{
		"SHOP_NODES": "a=" + nobody, "SHOP_READ_USER": "shop_ro", "SHOP_READ_PASSWORD": canary, "SHOP_MIGRATE_DSN": nobody,
		"SHOP_TOKEN_KEY": canary, "SHOP_TOKEN_KEY_PREVIOUS": canary, "SHOP_ADMIN_KEYS": "ada:catalog:" + canary, "SHOP_ADMIN_ADDR": "127.0.0.1:0",
		"SHOP_ADDR": "127.0.0.1:0",
	} {
		t.Setenv(name, value)
	}
	for _, args := range [][]string{
		{"serve", "--help"},
		{"migrate", "up", "--help"},
		{"serve"},
		{"serve", "--no-such-flag"},
		{"serve", "--nodes", "a=postgres://u:" + canary + "@:x/"},
		{"serve", "--nodes", "a=postgres://u:" + canary + "@h1:1,h2:2/d"},
		{"serve", "--nodes", canary},
		{"serve", "--nodes", "a=host=h password=" + canary + " port=x"},
		{"serve", "--admin-keys", canary},
		{"seed", "--nodes", "a=postgres://u:" + canary + "@:x/"},
		{"migrate", "up"},
		{"migrate", "status", "--dsn", "postgres://u:" + canary + "@:x/"},
		{"migrate", "up", "--dsn", "password=" + canary + " port=x"},
	} {
		var out buffer
		code := run(t.Context(), args, &app{&out, &out})
		if help := args[len(args)-1] == "--help"; out.String() == "" || (code == 0) != help {
			t.Errorf("shop %v: exit %d, and says %q", args, code, out.String())
		}
		keepsSecrets(t, out.String())
	}
}
