package fresh_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"example.com/leeway/db/fresh"
)

// web is a server with one route that adds and one that reads.
type web struct {
	*bench
	url      string
	keys     *fresh.Keyring
	registry *prometheus.Registry
}

func setupWeb(t *testing.T) *web {
	t.Helper()
	keys, err := fresh.NewKeyring(bytes.Repeat([]byte{7}, fresh.MinTokenKey))
	if err != nil {
		t.Fatal(err)
	}
	w := &web{keys: keys, registry: prometheus.NewRegistry()}
	w.bench = setup(t, func(c *fresh.Config) { c.Metrics = w.registry })
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(rw http.ResponseWriter, r *http.Request) {
		err := w.router.Write(r.Context(), func(ctx context.Context, tx fresh.WriteTx) error {
			_, err := tx.Exec(ctx, addOne)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, r *http.Request) {
		var n int
		if err := w.router.Reader(fresh.Session()).QueryRow(r.Context(), readCounter).Scan(&n); err != nil {
			t.Error(err)
		}
		_, _ = rw.Write([]byte(strconv.Itoa(n)))
	})
	mux.HandleFunc("POST /flushed", func(rw http.ResponseWriter, r *http.Request) {
		err := w.router.Write(r.Context(), func(ctx context.Context, tx fresh.WriteTx) error { return nil })
		if err := errors.Join(err, http.NewResponseController(rw).Flush()); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /static", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(w.router.Middleware(keys)(mux))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *web) do(t *testing.T, client *http.Client, method, path string, tokens ...string) (body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		req.Header.Add(fresh.TokenHeader, token)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return text.String(), res.Header
}

func TestTheTokenTravelsInTheHeader(t *testing.T) {
	w := setupWeb(t)
	w.Pause(t)
	_, wrote := w.do(t, http.DefaultClient, "POST", "/")
	token := wrote.Get(fresh.TokenHeader)
	if got := wrote.Get(fresh.SourceHeader); got != "primary;reason=policy" {
		t.Errorf("Data-Source of a write: %q", got)
	}
	body, read := w.do(t, http.DefaultClient, "GET", "/", token)
	if got := read.Get(fresh.SourceHeader); body != "1" || got != "primary;reason=token" {
		t.Errorf("read %s from %q, want 1 from primary;reason=token", body, got)
	}
	body, read = w.do(t, http.DefaultClient, "GET", "/")
	if got := read.Get(fresh.SourceHeader); body != "0" || !strings.HasPrefix(got, `replica;name="replica-`) {
		t.Errorf("without the token: read %s from %q, want the fault: 0 from a replica", body, got)
	}
	if read.Get(fresh.TokenHeader) == "" || read.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("a session read must hand out its stamp, privately: %v", read)
	}
	if _, flushed := w.do(t, http.DefaultClient, "POST", "/flushed"); flushed.Get(fresh.TokenHeader) == "" {
		t.Error("a header that was flushed early went out without the token")
	}
	if _, static := w.do(t, http.DefaultClient, "GET", "/static", token); static.Get(fresh.TokenHeader) != "" || static.Get(fresh.SourceHeader) != "" {
		t.Errorf("a request that touched no data got %v", static)
	}
}

func TestTheTokenTravelsInTheCookie(t *testing.T) {
	w := setupWeb(t)
	w.Pause(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	_, header := w.do(t, browser, "POST", "/")
	if got := header.Get("Set-Cookie"); !strings.Contains(got, "HttpOnly") || !strings.Contains(got, "SameSite=Lax") {
		t.Errorf("Set-Cookie: %q", got)
	}
	for want := 2; want < 5; want++ {
		w.do(t, browser, "POST", "/")
		body, read := w.do(t, browser, "GET", "/")
		if got := read.Get(fresh.SourceHeader); body != strconv.Itoa(want) || got != "primary;reason=token" {
			t.Errorf("read %s from %q, want %d from primary;reason=token", body, got, want)
		}
	}
	site, _ := url.Parse(w.url)
	if n := len(jar.Cookies(site)); n != 1 {
		t.Errorf("the browser holds %d cookies, want them merged into one", n)
	}
}

// Two answers arrive in the other order than their commits happened (gitlab-ee
// !1502: the older token overwrote the newer one).
func TestReorderedAnswersLoseNoToken(t *testing.T) {
	w := setupWeb(t)
	_, first := w.do(t, http.DefaultClient, "POST", "/")
	w.CatchUp(t) // else the first token alone would already ask for the primary
	w.Pause(t)
	_, second := w.do(t, http.DefaultClient, "POST", "/")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	site, _ := url.Parse(w.url)
	for _, header := range []http.Header{second, first} {
		jar.SetCookies(site, (&http.Response{Header: header}).Cookies())
	}
	body, _ := w.do(t, &http.Client{Jar: jar}, "GET", "/")
	if body != "2" {
		t.Errorf("read %s, want 2: the later write's token was lost", body)
	}
}

// A browser sends its oldest cookie first; the newest of many counts.
func TestManyCookies(t *testing.T) {
	w := setupWeb(t)
	newest := w.add(t)
	w.CatchUp(t)
	w.Pause(t)
	newest = newest.Merge(w.add(t))
	req, err := http.NewRequest("GET", w.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		token := w.keys.Seal(fresh.Position{Timeline: newest.Timeline, LSN: fresh.LSN(i + 1)})
		if i == 39 {
			token = w.keys.Seal(newest)
		}
		req.AddCookie(&http.Cookie{Name: "consistency-" + itoa(i), Value: token})
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if source := res.Header.Get(fresh.SourceHeader); source != "primary;reason=token" {
		t.Errorf("answered by %q: the newest token was passed over", source)
	}
}

// A token that was not sealed here is as good as none, whatever it says.
func TestForgedTokensBuyNothing(t *testing.T) {
	w := setupWeb(t)
	other, err := fresh.NewKeyring(bytes.Repeat([]byte{8}, fresh.MinTokenKey))
	if err != nil {
		t.Fatal(err)
	}
	valid := w.keys.Seal(w.add(t))
	w.CatchUp(t)
	before := w.primaryReads(t)
	flood := map[string]string{
		"garbage":    "garbage",
		"huge":       strings.Repeat("A", 4096),
		"forged":     other.Seal(fresh.Position{Timeline: 1, LSN: 1}),
		"far future": other.Seal(fresh.Position{Timeline: 1 << 31, LSN: 1<<64 - 1}),
		"tampered":   valid[:10] + "zzzz" + valid[14:],
	}
	for name, token := range flood {
		for range 20 {
			body, header := w.do(t, http.DefaultClient, "GET", "/", token)
			if source := header.Get(fresh.SourceHeader); body != "1" || !strings.HasPrefix(source, "replica;") {
				t.Fatalf("%s: read %s from %q, want 1 from a replica", name, body, source)
			}
		}
	}
	if after := w.primaryReads(t); after != before {
		t.Errorf("forged tokens bought %v reads of the primary", after-before)
	}
	for state, want := range map[string]float64{"malformed": 40, "forged": 60} {
		if got := w.metric(t, "leeway_tokens_total", state); got != want {
			t.Errorf("leeway_tokens_total{state=%q} = %v, want %v", state, got, want)
		}
	}
}

func (w *web) primaryReads(t *testing.T) (sum float64) {
	t.Helper()
	for _, reason := range []string{"lag", "token", "no_replica", "conflict", "policy", "timeline", "primary_down", "shed"} {
		sum += w.metric(t, "leeway_reads_total", reason)
	}
	return sum
}

// metric sums the counters of a family that have the label value.
func (w *web) metric(t *testing.T, family, label string) (sum float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

func TestMetricsAreWellFormed(t *testing.T) {
	w := setupWeb(t)
	w.do(t, http.DefaultClient, "POST", "/")
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if n, err := testutil.GatherAndCount(w.registry, "leeway_reads_total"); err != nil || n != 3*9 {
		t.Errorf("%d series of leeway_reads_total, %v; want one for each node and reason", n, err)
	}
}
