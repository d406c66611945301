package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"example.com/leeway/internal/web"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:aaaa::/48")
	for _, tt := range []struct {
		name    string
		trusted []netip.Prefix
		peer    string
		xff     []string
		client  string
		net     string
	}{
		{"nobody is trusted", nil, "203.0.113.7:4000", nil, "203.0.113.7", "203.0.113.7"},
		{"spoofed", nil, "203.0.113.7:4000", []string{"198.51.100.1"}, "203.0.113.7", "203.0.113.7"},
		{"spoofed, past the proxies", []netip.Prefix{v4}, "203.0.113.7:4000", []string{"198.51.100.1"}, "203.0.113.7", "203.0.113.7"},
		{"through a proxy", []netip.Prefix{v4}, "10.0.0.1:4000", []string{"203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"spoofed, through a proxy", []netip.Prefix{v4}, "10.0.0.1:4000", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"a trusted address, made up", []netip.Prefix{v4}, "10.0.0.1:4000", []string{"10.9.9.9, 203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"a header more", []netip.Prefix{v4}, "10.0.0.1:4000", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"through two proxies", []netip.Prefix{v4, v6}, "10.0.0.1:4000", []string{"198.51.100.1, 203.0.113.7, 2001:db8:aaaa::5"}, "203.0.113.7", "203.0.113.7"},
		{"the proxy itself", []netip.Prefix{v4}, "10.0.0.1:4000", nil, "10.0.0.1", "10.0.0.1"},
		{"unreadable", []netip.Prefix{v4}, "10.0.0.1:4000", []string{"203.0.113.7, unknown"}, "10.0.0.1", "10.0.0.1"},
		{"IPv6", nil, "[2001:db8:1:2:3::4]:4000", nil, "2001:db8:1:2:3::4", "2001:db8:1:2::"},
		{"IPv6 through a proxy", []netip.Prefix{v6}, "[2001:db8:aaaa::1]:4000", []string{"2001:db8:1:2:ffff::4"}, "2001:db8:1:2:ffff::4", "2001:db8:1:2::"},
		{"IPv4 in IPv6", nil, "[::ffff:203.0.113.7]:4000", nil, "203.0.113.7", "203.0.113.7"},
	} {
		log, lines := logger(t)
		var client, network string
		h := web.ClientAddress(log, tt.trusted...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			client, network = web.Client(r), web.ClientNet(r)
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.peer, tt.xff
		for _, name := range []string{"X-Real-IP", "True-Client-IP", "Forwarded", "CF-Connecting-IP"} {
			r.Header.Set(name, "198.51.100.2") // is never believed
		}
		for range 2 {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if client != tt.client || network != tt.net {
			t.Errorf("%s: client %q of %q, want %q of %q", tt.name, client, network, tt.client, tt.net)
		}
		warnings := 0
		if tt.xff != nil && tt.client+":4000" == tt.peer {
			warnings = 1 // however often
		}
		if got := lines(); len(got) != warnings {
			t.Errorf("%s: %d warnings, want %d: %v", tt.name, len(got), warnings, got)
		}
	}
}

// Where nobody decides, no header does.
func TestClientOutsideOfClientAddress(t *testing.T) {
	t.Parallel()
	r := withHeader("X-Forwarded-For", "198.51.100.1")
	if got := web.Client(r); got != "192.0.2.1" {
		t.Errorf("client %q", got)
	}
}
