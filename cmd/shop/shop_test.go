package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/seed"
)

// Tests with servers of their own run in parallel, at the end: they wait more than they
// work. The others share one cluster, and some break it.
func TestMain(m *testing.M) { dbtest.Main(m) }

// shop is the whole program, served on a port of its own, over a catalog of 100
// products on a real cluster.
type shop struct {
	*dbtest.Env
	*server
	url     string
	slug    string
	variant string

	category string
	back     string // the URL of the admin listener, "" without one
}

const testProducts = 100

func newShop(t *testing.T, adjust ...func(*serveCmd)) *shop {
	t.Helper()
	return serveOn(t, dbtest.New(t), adjust...)
}

func serveOn(t testing.TB, env *dbtest.Env, adjust ...func(*serveCmd)) *shop {
	t.Helper()
	in := seed.Generate(testProducts, 1)
	if err := catalog.New(env.DB, catalog.DefaultConfig()).Load(t.Context(), in, catalog.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	flags := testFlags(t)
	flags.nodeFlags = flagsOf(env.Config().Nodes)
	keepPasswords(env.Config().Nodes)
	for _, f := range adjust {
		f(&flags)
	}
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{Env: env, slug: in.Products[0].Slug, variant: in.Products[0].Variants[0].ID.String(), category: in.Categories[0].Slug}
	if s.server, err = newServer(set, testLog(t)); err != nil {
		t.Fatal(err)
	}
	s.url = serve(t, s.server)
	return s
}

// serve runs the server until the test ends, and waits until it is ready.
func serve(t testing.TB, s *server) string {
	t.Helper()
	url := listenAndServe(t, s)
	dbtest.Eventually(t, "the shop is ready", func() bool {
		answer := send(t, "GET", url+"/readyz", nil)
		return answer.status == 200 && answer.field("status") == "ready"
	})
	return url
}

// listenAndServe runs the server until the test ends.
func listenAndServe(t testing.TB, s *server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func testFlags(t testing.TB) serveCmd {
	t.Helper()
	var flags serveCmd
	if err := kong.ApplyDefaults(&flags); err != nil {
		t.Fatal(err)
	}
	flags.Addr = "127.0.0.1:0"
	flags.RateAddress, flags.RateKey = 0, 0 // all of a test's clients are one address
	flags.TokenKey = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, fresh.MinTokenKey))
	keepSecret(flags.TokenKey)
	return flags
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) source() string { return a.header.Get(fresh.SourceHeader) }
func (a answer) token() string  { return a.header.Get(fresh.TokenHeader) }

// data is that of the first event of a stream.
func (a answer) data() string {
	_, data, _ := strings.Cut(string(a.body), "\ndata: ")
	data, _, _ = strings.Cut(data, "\n")
	return data
}

// field returns a member of the body by its path, as text.
func (a answer) field(path ...string) string {
	var v any
	_ = json.Unmarshal(a.body, &v)
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	if text, ok := v.(string); ok {
		return text
	}
	raw, _ := json.Marshal(v)
	return string(raw)
}

// send does one request; headers come in pairs, and a body is JSON text.
func send(t testing.TB, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	return sendWith(t, http.DefaultClient, method, url, body, headers...)
}

// sendWith also holds every answer to the contract, in whatever test it is, and sees
// that it tells no secret.
func sendWith(t testing.TB, client *http.Client, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, a := exchange(t, client, method, url, body, headers...)
	if a.status != 0 {
		theContract(t).check(t, req, a)
		a.checkSecrets(t, req)
	}
	return a
}

// exchange is sendWith for what is not in the contract: the internal listener.
func exchange(t testing.TB, client *http.Client, method, url string, body io.Reader, headers ...string) (*http.Request, answer) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	plantSecrets(req)
	return req, do(t, client, req)
}

// do returns the answer, or the zero one if there was none.
func do(t testing.TB, client *http.Client, req *http.Request) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dbtest.Limit)
	defer cancel()
	res, err := client.Do(req.WithContext(ctx))
	if err != nil {
		t.Error(err) // not Fatal: also called by goroutines
		return answer{}
	}
	defer res.Body.Close()
	text, err := readAnswer(res)
	if err != nil {
		t.Error(err)
	}
	return answer{res.StatusCode, res.Header, text}
}

// readAnswer reads to the end, but a stream, which has none, to that of its first event.
func readAnswer(res *http.Response) (text []byte, err error) {
	if res.Header.Get("Content-Type") != "text/event-stream" {
		return io.ReadAll(res.Body)
	}
	body, data := bufio.NewReader(res.Body), false
	for {
		line, err := body.ReadBytes('\n')
		text = append(text, line...)
		data = data || bytes.HasPrefix(line, []byte("data: "))
		if data && len(line) == 1 || errors.Is(err, io.EOF) { // a HEAD has no body
			return text, nil
		} else if err != nil {
			return text, err
		}
	}
}

func (s *shop) get(t testing.TB, path string, headers ...string) answer {
	t.Helper()
	return send(t, "GET", s.url+path, nil, headers...)
}

// shopper is one with a cart.
type shopper struct {
	*shop
	auth string
	cart string
}

func (s *shop) newShopper(t testing.TB, items string) *shopper {
	t.Helper()
	a := send(t, "POST", s.url+"/v1/carts", strings.NewReader(`{"items":[`+items+`]}`))
	if a.status != 201 {
		t.Fatalf("POST /v1/carts: %d %s", a.status, a.body)
	}
	return &shopper{shop: s, auth: "Bearer " + a.field("shopper_token"), cart: "/v1/carts/" + a.field("id")}
}

func (s *shopper) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return send(t, method, s.url+path, reader, append(headers, "Authorization", s.auth)...)
}

const checkoutBody = `{"email":"ada@` + canaryHome + `.example","shipping_address":{"name":"Ada ` + canaryHome + `","line1":"1 ` + canaryHome + ` St","city":"London","postal_code":"N1","country":"GB"}}`

func (s *shopper) checkout(t testing.TB, key string) answer {
	t.Helper()
	return s.do(t, "POST", s.cart+"/checkout", checkoutBody, "Idempotency-Key", key)
}

func item(variant string, quantity string) string {
	return `{"variant_id":"` + variant + `","quantity":` + quantity + `}`
}
