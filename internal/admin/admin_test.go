package admin

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// The secrets of the tests. None of them may ever be logged or answered.
const (
	secretA = "aLl-8f3b0c9d2e4a6f708192a3b4c5d6e7f8"
	secretB = "cAt-0011223344556677889900aabbccddeeff"
	secretC = "cAt-ffeeddccbbaa00998877665544332211:+="
)

func TestParseKeys(t *testing.T) {
	for _, test := range []struct {
		name, text string
		keys       int
		err        string
	}{
		{"none", "", 0, ""},
		{"one", "ada:catalog+stock+orders:" + secretA, 1, ""},
		{"list", "ada:catalog:" + secretA + ", bob:orders:" + secretB, 2, ""},
		{"file", "# who\n\nada:catalog:" + secretA + "\r\n  bob:orders:" + secretB + "\n", 2, ""},
		{"rotation", "ada:catalog:" + secretA + ",ada:catalog:" + secretB, 2, ""},
		{"colons and signs in a secret", "ada:catalog:" + secretC, 1, ""},
		{"no scope", "ada:" + secretA, 0, "entry 1 is not"},
		{"secret only", secretA, 0, "entry 1 is not"},
		{"unknown scope", "ada:catalog+money:" + secretA, 0, "scope"},
		{"empty scope", "ada::" + secretA, 0, "scope"},
		{"empty name", ":catalog:" + secretA, 0, "name"},
		{"secret as a name", secretA + " x:catalog:" + secretB, 0, "name"},
		{"31 bytes", "ada:catalog:" + secretA[:31], 0, "31 bytes"},
		{"32 bytes", "ada:catalog:" + secretA[:32], 1, ""},
		{"long and no secret", "ada:catalog:" + strings.Repeat("hunter2", 10)[:64], 0, "few"},
		{"blank inside", "ada:catalog:" + secretA + " " + secretB, 0, "header"},
		{"not ASCII", "ada:catalog:" + secretA + "é", 0, "header"},
		{"the second is bad", "ada:catalog:" + secretA + ",bob", 0, "entry 2"},
		{"one secret for two", "ada:catalog:" + secretA + ",bob:orders:" + secretA, 0, "entry 2 has the secret"},
	} {
		keys, err := ParseKeys(test.text)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if len(keys) != test.keys || (err == nil) != (test.err == "") || !strings.Contains(said, test.err) {
			t.Errorf("%s: %d keys, %v; want %d and %q", test.name, len(keys), err, test.keys, test.err)
		}
		for _, part := range []string{secretA[:12], secretB[:12], secretC[:12], "hunter"} {
			if strings.Contains(said, part) {
				t.Errorf("%s: the error repeats a secret: %v", test.name, err)
			}
		}
	}
}

type office struct {
	http.Handler
	log *bytes.Buffer
}

func newOffice(t *testing.T) office {
	t.Helper()
	keys, err := ParseKeys("all:catalog+stock+orders:" + secretA + ",cat:catalog:" + secretB + ",cat:catalog:" + secretC)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	render := web.NewRenderer(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	gate := NewGate(keys, slog.New(slog.NewTextHandler(log, nil)), render)
	r := chi.NewRouter()
	r.NotFound(render.NotFound)
	r.Use(web.RequestID, gate.Authenticate, gate.Audit)
	answer := render.Handle(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Location", "/v1/admin/things/made")
		return web.JSON(w, http.StatusCreated, Name(r.Context()))
	})
	for _, scope := range scopes {
		only := r.With(Require(scope, render))
		only.Get("/"+string(scope), answer)
		only.Post("/"+string(scope)+"/{id}", answer)
	}
	return office{r, log}
}

// send is one request from an address; values are those of X-API-Key.
func (o office) send(method, path, from string, values ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = from
	r.Header["X-Api-Key"] = values
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

func TestWhoGetsIn(t *testing.T) {
	o := newOffice(t)
	for i, test := range []struct {
		name, path string
		values     []string
		status     int
	}{
		{"none", "/catalog", nil, 401},
		{"empty", "/catalog", []string{""}, 401},
		{"wrong", "/catalog", []string{strings.Repeat("x", len(secretA))}, 401},
		{"prefix", "/catalog", []string{secretA[:len(secretA)-1]}, 401},
		{"longer", "/catalog", []string{secretA + "0"}, 401},
		{"other case", "/catalog", []string{strings.ToUpper(secretA)}, 401},
		{"name", "/catalog", []string{"all"}, 401},
		{"entry", "/catalog", []string{"all:catalog+stock+orders:" + secretA}, 401},
		{"two headers", "/catalog", []string{secretA, secretA}, 401},
		{"two in one", "/catalog", []string{secretA + ", " + secretB}, 401},
		{"no such path, without a key", "/elsewhere", nil, 401},
		{"no such path", "/elsewhere", []string{secretA}, 404},
		{"all scopes", "/catalog", []string{secretA}, 201},
		{"all scopes", "/orders", []string{secretA}, 201},
		{"its scope", "/catalog", []string{secretB}, 201},
		{"its scope, rotated", "/catalog", []string{secretC}, 201},
		{"another scope", "/stock", []string{secretB}, 403},
		{"another scope", "/orders", []string{secretC}, 403},
	} {
		address := "10.0.0." + string(rune('1'+i%9)) + ":" + "4000"
		w := o.send("GET", test.path, address, test.values...)
		if w.Code != test.status {
			t.Errorf("%s: %d %s, want %d", test.name, w.Code, w.Body, test.status)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", test.name, w.Header().Get("Cache-Control"))
		}
		if challenge := w.Header().Get("Www-Authenticate"); (w.Code == 401) != (challenge != "") {
			t.Errorf("%s: WWW-Authenticate %q", test.name, challenge)
		}
	}
	o.keepsSecrets(t)
}

// keepsSecrets looks for any long part of a secret.
func (o office) keepsSecrets(t *testing.T) {
	t.Helper()
	for _, secret := range []string{secretA, secretB, secretC} {
		if strings.Contains(strings.ToLower(o.log.String()), strings.ToLower(secret[4:16])) {
			t.Errorf("a secret is in the log:\n%s", o.log)
		}
	}
}

func TestMissingAndWrongAreOneAnswer(t *testing.T) {
	o := newOffice(t)
	bodyOf := func(w *httptest.ResponseRecorder) string {
		body, _, _ := strings.Cut(w.Body.String(), "request_id")
		return body
	}
	none, wrong := o.send("GET", "/catalog", "10.0.0.1:1"), o.send("GET", "/catalog", "10.0.0.1:1", "wrong")
	if bodyOf(none) != bodyOf(wrong) {
		t.Errorf("%s and %s", none.Body, wrong.Body)
	}
}

func TestFailuresAreLimitedByAddress(t *testing.T) {
	o := newOffice(t)
	for range 2 * maxFailures { // successes cost nothing
		if w := o.send("GET", "/catalog", "10.0.0.1:1", secretA); w.Code != 201 {
			t.Fatalf("%d", w.Code)
		}
	}
	for i := range maxFailures {
		if w := o.send("GET", "/catalog", "10.0.0.1:1", "wrong"); w.Code != 401 {
			t.Fatalf("failure %d: %d", i+1, w.Code)
		}
	}
	for _, values := range [][]string{nil, {"wrong"}, {secretA}} {
		w := o.send("GET", "/catalog", "10.0.0.1:2", values...) // another port is the same client
		if w.Code != 429 || w.Header().Get("Retry-After") == "" {
			t.Errorf("after %d failures: %d %s", maxFailures, w.Code, w.Body)
		}
	}
	forged := httptest.NewRequest("GET", "/catalog", nil)
	forged.RemoteAddr = "10.0.0.1:1"
	forged.Header.Set("X-Forwarded-For", "10.0.0.9")
	forged.Header.Set("X-Real-Ip", "10.0.0.9")
	w := httptest.NewRecorder()
	if o.ServeHTTP(w, forged); w.Code != 429 {
		t.Errorf("with another address in a header: %d", w.Code)
	}
	if w := o.send("GET", "/catalog", "10.0.0.2:1", secretA); w.Code != 201 {
		t.Errorf("another address: %d", w.Code)
	}
	for i := range maxFailures { // a client has a whole /64
		o.send("GET", "/catalog", "[2001:db8::"+string(rune('1'+i%9))+"]:1", "wrong")
	}
	if w := o.send("GET", "/catalog", "[2001:db8::ffff]:1", secretA); w.Code != 429 {
		t.Errorf("another address of the same network: %d", w.Code)
	}
	if n := strings.Count(o.log.String(), "admin key refused"); n != 2*maxFailures {
		t.Errorf("%d failures are logged, want %d", n, 2*maxFailures)
	}
	o.keepsSecrets(t)
}

func TestActionsAreAudited(t *testing.T) {
	o := newOffice(t)
	o.send("GET", "/stock", "10.0.0.1:1", secretA)
	if strings.Contains(o.log.String(), "admin action") {
		t.Errorf("a read is no action:\n%s", o.log)
	}
	at := []string{id.New().String(), id.New().String()}
	name := o.send("POST", "/stock/"+at[0], "10.0.0.1:1", secretA).Header().Get("X-Request-Id")
	o.send("POST", "/stock/"+at[1], "10.0.0.1:1", secretB)
	o.send("POST", "/stock/"+secretA, "10.0.0.1:1", secretA) // in the wrong place
	for _, want := range []string{
		`msg="admin action" key=all action="POST /stock/{id}" id=` + at[0] + ` status=201 request_id=` + name + " client=10.0.0.1 created=made",
		`msg="admin action" key=cat action="POST /stock/{id}" id=` + at[1] + ` status=403`,
		`msg="admin action" key=all action="POST /stock/{id}" id="" status=201`,
	} {
		if !strings.Contains(o.log.String(), want) {
			t.Errorf("no %s in\n%s", want, o.log)
		}
	}
	o.keepsSecrets(t)
}
