package main

import (
	"crypto/rand"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"example.com/leeway/db/fresh"
)

// What the tests of this package send and configure and nobody may tell, neither a log
// nor an answer, whatever goes wrong: it is planted in every request (plantSecrets), looked
// for in every answer (checkSecrets), and in every log, of the level debug, when its
// test ends (testLog).
const (
	// canary is in the name of each such thing that a test makes up: admin keys,
	// idempotency keys, cookies.
	canary = "canary"
	// canaryHome is in what is personal: an answer to its owner may hold it, no log.
	canaryHome = "canaryhome"
)

// secrets are the ones that nobody could choose: tokens, passwords, keys.
var secrets sync.Map

// longEnough is the length from which on a text is no word by chance.
const longEnough = 20

func keepSecret(text string) {
	for part := range unbroken(text) {
		secrets.Store(part, true)
	}
}

// unbroken yields what a secret may be: it is made of such characters, and whatever stands
// around one in a log is not. By hand: as a regular expression, with the race detector, it
// took a fifth of the time of TestGeneratedRequests.
func unbroken(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.FieldsFuncSeq(text, breaks) {
			if len(part) >= longEnough && !yield(part) {
				return
			}
		}
	}
}

func breaks(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
}

// marked finds a canary in a text, or returns "".
func marked(text string) string {
	if at := strings.Index(strings.ToLower(text), canary); at >= 0 {
		return text[at:min(at+60, len(text))]
	}
	return ""
}

// leak finds a secret of any kind.
func leak(text string) string {
	if secret := marked(text); secret != "" {
		return secret
	}
	for part := range unbroken(text) {
		if _, secret := secrets.Load(part); secret {
			return part
		}
	}
	return ""
}

// keepsSecrets fails the test for each line of a text with a secret in it.
func keepsSecrets(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if secret := leak(line); secret != "" {
			t.Errorf("%q is told: %s", secret, line)
		}
	}
}

// testLog is the log of a program under test. When the test ends it must hold no
// secret; at the level info it is also the test's own output.
func testLog(t testing.TB, also ...io.Writer) *slog.Logger {
	t.Helper()
	said := new(buffer)
	t.Cleanup(func() { keepsSecrets(t, said.String()) }) // after the server's, which comes later
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(t.Output(), nil),
		slog.NewTextHandler(io.MultiWriter(append(also, said)...), &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// keepPasswords notes those of the nodes.
func keepPasswords(nodes []fresh.NodeConfig) {
	for _, n := range nodes {
		for _, dsn := range []string{n.WriteDSN, n.ReadDSN} {
			if u, err := url.Parse(dsn); err == nil {
				password, _ := u.User.Password()
				keepSecret(password)
			}
		}
	}
}

// plantSecrets puts secrets into a request, and notes those that it has.
func plantSecrets(req *http.Request) {
	h := req.Header
	if key := h.Get("Idempotency-Key"); key != "" && len(key) < 200 {
		h.Set("Idempotency-Key", canary+"-"+key) // the same for the same
	}
	h.Add("Cookie", "session="+canary+"-cookie")
	h.Set("User-Agent", canary+"-agent")
	h.Set("Referer", "http://shop.example/?"+canary+"=referer")
	keepSecret(h.Get("Authorization"))
	keepSecret(h.Get(fresh.TokenHeader))
}

// checkSecrets fails the test when an answer repeats a secret, and notes those that it
// hands out.
func (a answer) checkSecrets(t testing.TB, req *http.Request) {
	t.Helper()
	text := string(a.body)
	if a.status >= 400 {
		text = strings.Replace(text, `"instance":"`+req.URL.Path, "", 1) // only what the client called
	}
	for _, own := range []string{"/orders", "/checkout", "/search"} {
		if a.status < 400 && strings.Contains(req.URL.Path, own) {
			text = home.ReplaceAllString(text, "")
		}
	}
	for name, values := range a.header {
		if name != fresh.TokenHeader && name != "Set-Cookie" {
			text += "\n" + name + ": " + strings.Join(values, " ")
		}
	}
	find := leak
	if !strings.HasPrefix(req.URL.Path, "/v1/") {
		find = marked // the contract's pages have examples of tokens, which requests are made of
	}
	if secret := find(text); secret != "" {
		t.Errorf("%s %.100s tells %q: %d %.500s", req.Method, req.URL.Path, secret, a.status, a.body)
	}
	if strings.Contains(text, "shopper_token") { // to parse each answer takes longer
		keepSecret(a.field("shopper_token"))
	}
	keepSecret(a.token())
}

var home = regexp.MustCompile("(?i)" + canaryHome)

// What finds secrets finds them: each kind, wherever it may turn up.
func TestSecretsAreFound(t *testing.T) {
	token, password := rand.Text()+rand.Text(), rand.Text()
	keepSecret("Bearer " + token)
	keepPasswords([]fresh.NodeConfig{{WriteDSN: "postgres://shop_rw:" + password + "@127.0.0.1:5432/shop"}})
	for text, found := range map[string]bool{
		`msg=request token=` + token:                              true,
		`error="at \"` + token + `\""`:                            true,
		`{"detail":"` + token + `"}`:                              true,
		"dsn=postgres://shop_rw:" + password + "@127.0.0.1:5432/": true,
		"key=" + canaryAll[:12]:                                   true,
		"email=Ada@CanaryHome.example":                            true,
		"token=" + rand.Text() + " and " + token[:10]:             false,
		"msg=request route=/v1/carts/{id} status=200":             false,
	} {
		if secret := leak(text); (secret != "") != found {
			t.Errorf("%s: found %q", text, secret)
		}
	}
}
