package lab

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/web"
)

const key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Who gets in, and who does not. The controls have no servers here, so that the answer to
// those who get in is about a server that is not there.
func TestTheGuardOfTheControls(t *testing.T) {
	c := newControls(t, "http://127.0.0.1:1")
	for _, ask := range []struct {
		what   string
		method string
		change func(*http.Request)
		status int
	}{
		{"with the key", "POST", nil, 404},
		{"the state", "GET", nil, 200},
		{"by its name", "POST", func(r *http.Request) { r.Host = "localhost:8080" }, 404},
		{"over IPv6", "POST", func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:8080", "[::1]:5000" }, 404},
		{"over IPv4 in IPv6", "POST", func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:5000" }, 404},
		{"from the page", "POST", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, 404},

		{"without a key", "POST", func(r *http.Request) { r.Header.Del(KeyHeader) }, 403},
		{"the state without a key", "GET", func(r *http.Request) { r.Header.Del(KeyHeader) }, 403},
		{"with the beginning of the key", "POST", func(r *http.Request) { r.Header.Set(KeyHeader, key[:25]) }, 403},
		{"with more than the key", "POST", func(r *http.Request) { r.Header.Set(KeyHeader, key+"A") }, 403},
		{"with the key in another place", "POST", func(r *http.Request) {
			r.Header.Del(KeyHeader)
			r.URL.RawQuery = "key=" + key
		}, 403},
		{"from another machine", "POST", func(r *http.Request) { r.RemoteAddr = "192.0.2.7:5000" }, 403},
		{"by a name that points here", "POST", func(r *http.Request) { r.Host = "rebound.example:8080" }, 403},
		{"from another site", "POST", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"from another port", "POST", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"from an older browser on another site", "POST", func(r *http.Request) { r.Header.Set("Origin", "http://elsewhere.example") }, 403},
	} {
		path := ControlsPath + "nodes/primary/kill"
		if ask.method == "GET" {
			path = ControlsPath + "state"
		}
		r := httptest.NewRequestWithContext(t.Context(), ask.method, path, nil)
		r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:5000"
		r.Header.Set(KeyHeader, key)
		if ask.change != nil {
			ask.change(r)
		}
		rec := httptest.NewRecorder()
		c.ServeHTTP(rec, r)
		if rec.Code != ask.status || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %d", ask.what, rec.Code, rec.Body, ask.status)
		}
		if rec.Code >= 400 && !strings.HasPrefix(rec.Body.String(), `{"error":"`) {
			t.Errorf("%s: %s", ask.what, rec.Body)
		}
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9:80": true, "localhost": true, "localhost:8080": true, "::1": true, "[::1]": true, "[::1]:80": true,
		"": false, "0.0.0.0:80": false, "10.0.0.1": false, "localhost.evil.example": false, "127.0.0.1.evil.example:80": false,
		"[2001:db8::1]:80": false, "LOCALHOST.": false,
	} {
		if loopback(addr) != want {
			t.Errorf("loopback(%q) = %v", addr, !want)
		}
	}
}

func newControls(t *testing.T, shop string) http.Handler {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	controls := NewControls(ControlsConfig{Key: key, Cluster: &pgcluster.Cluster{}, Shop: shop, Log: log})
	t.Cleanup(controls.Close)
	r := chi.NewRouter()
	controls.Routes(r, web.NewRenderer(log))
	return r
}

// Shoppers go on whatever they are told, count what was refused, and leave when they are
// sent home, or with the demo.
func TestShoppersComeAndGo(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer shop.Close()
	l := newLoad(t.Context(), shop.URL)
	if s := l.State(); s.Running {
		t.Errorf("before the start: %+v", s)
	}
	for range 2 {
		l.Start()
		l.Start() // once more changes nothing
		before := l.State()
		if !before.Running || before.SecondsLeft < 500 || before.SecondsLeft > 600 {
			t.Errorf("%+v", before)
		}
		eventually(t, "they are refused", func() bool { return l.State().ReadsRefused > before.ReadsRefused+lookers })
		l.Stop()
		l.Stop()
		if s := l.State(); s.Running || s.SecondsLeft != 0 || s.Orders != 0 {
			t.Errorf("after the end: %+v", s)
		}
	}
}

func TestShoppersLeaveWithTheDemo(t *testing.T) {
	shop := httptest.NewServer(http.NotFoundHandler())
	defer shop.Close()
	c := NewControls(ControlsConfig{Key: key, Cluster: &pgcluster.Cluster{}, Shop: shop.URL, Log: slog.New(slog.DiscardHandler)})
	c.load.Start()
	eventually(t, "they are there", func() bool { return c.load.State().Reads > 0 })
	c.Close()
	c.load.Start() // too late
	if s := c.load.State(); s.Running {
		t.Errorf("%+v", s)
	}
}
