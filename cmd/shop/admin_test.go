package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// The secrets of the tests. No log and no answer may ever hold one.
const (
	canaryAll   = "canary-0-8f3b0c9d2e4a6f708192a3b4c5d6"
	canaryStock = "canary-1-00112233445566778899aabbccdd"

	twoAdmins = "ada:catalog+stock+orders:" + canaryAll + ",bob:stock:" + canaryStock
)

// backOffice is a shop with its admin listener, and everything that it logged.
type backOffice struct {
	*shop
	crowd *crowd
	log   *buffer
}

func newBackOffice(t *testing.T, adjust ...func(*serveCmd)) *backOffice {
	t.Helper()
	return newShop(t).openWith(t, twoAdmins, adjust...)
}

// openWith is another process of the shop, with an admin listener for these keys.
func (s *shop) openWith(t testing.TB, keys string, adjust ...func(*serveCmd)) *backOffice {
	t.Helper()
	flags := s.serveCmd
	flags.AdminAddr = "127.0.0.1:0"
	flags.AdminKeys = keys
	flags.LogLevel = slog.LevelDebug
	for _, f := range adjust {
		f(&flags)
	}
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	b := &backOffice{shop: &shop{Env: s.Env, slug: s.slug, variant: s.variant, category: s.category}, log: new(buffer)}
	b.server, err = newServer(set, testLog(t, b.log))
	if err != nil {
		t.Fatal(err)
	}
	b.back, b.crowd = b.openBackOffice(t)
	b.url = serve(t, b.server)
	return b
}

// openBackOffice gives a server an admin listener, and returns its URL.
func (s *server) openBackOffice(t testing.TB) (string, *crowd) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{Listener: listener}
	s.admin = c
	host := listener.Addr().String()
	theContract(t).serveAdmins(t, host)
	return "http://" + host, c
}

// A crowd is a listener whose connections come, once it is apart, each from an address
// of its own: ten bad keys a minute would shut a test out.
type crowd struct {
	net.Listener
	apart  atomic.Bool
	number atomic.Uint32
}

func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil || !c.apart.Load() {
		return conn, err
	}
	n := c.number.Add(1)
	return member{conn, &net.TCPAddr{IP: net.IPv4(10, byte(n>>16), byte(n>>8), byte(n)), Port: 40000}}, nil
}

type member struct {
	net.Conn
	from net.Addr
}

func (m member) RemoteAddr() net.Addr { return m.from }

// adminDo is a request of ada's.
func (s *shop) adminDo(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return send(t, method, s.back+path, reader, append([]string{"X-API-Key", canaryAll}, headers...)...)
}

func (s *shop) must(t testing.TB, status int, method, path, body string, headers ...string) answer {
	t.Helper()
	a := s.adminDo(t, method, path, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

// The whole life of a product: from an empty category to the shoppers' list, a sale,
// its shipment, and off the list again.
func TestTheLifeOfAProduct(t *testing.T) {
	b := newBackOffice(t)
	category := b.must(t, 201, "POST", "/v1/admin/categories", `{"name":"Lamps","slug":"lamps"}`)
	product := b.must(t, 201, "POST", "/v1/admin/products",
		`{"name":"Arc lamp","slug":"arc-lamp","description":"Bright.","category_id":"`+category.field("id")+`","options":[{"name":"color","values":["red"]}]}`)
	path := product.header.Get("Location")
	variant := b.must(t, 201, "POST", path+"/variants", `{"sku":"ARC-R","options":{"color":"red"},"price":{"amount":19900,"currency":"EUR"}}`)
	variantPath := variant.header.Get("Location")

	listed := func(token string) string {
		t.Helper()
		a := b.get(t, "/v1/products?category=lamps", "Consistency-Token", token)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return string(a.body)
	}
	if got := listed(variant.token()); strings.Contains(got, "arc-lamp") {
		t.Errorf("a draft is listed: %s", got)
	}
	active := b.must(t, 200, "PATCH", path, `{"status":"active"}`, "If-Match", product.header.Get("ETag"))
	if got := listed(active.token()); !strings.Contains(got, `"arc-lamp"`) || !strings.Contains(got, `"in_stock":false`) {
		t.Errorf("the list: %s", got)
	}
	stocked := b.must(t, 201, "POST", variantPath+"/stock-adjustments", `{"delta":2,"reason":"delivery","expected_stock":0}`, "Idempotency-Key", "first")
	if stocked.field("before") != "0" || stocked.field("after") != "2" {
		t.Errorf("the movement: %s", stocked.body)
	}
	if got := listed(stocked.token()); !strings.Contains(got, `"in_stock":true`) {
		t.Errorf("the list: %s", got)
	}

	me := b.newShopper(t, item(variant.field("id"), "1"))
	order := me.checkout(t, "k")
	if order.status != 201 {
		t.Fatalf("%d %s", order.status, order.body)
	}
	ledger := b.must(t, 200, "GET", variantPath+"/stock-movements", "", "Consistency-Token", order.token())
	if got := string(ledger.body); strings.Count(got, `"kind"`) != 2 || !strings.Contains(got, `"order_id":"`+order.field("id")+`"`) ||
		strings.Index(got, `"checkout"`) > strings.Index(got, `"adjustment"`) {
		t.Errorf("the ledger: %s", got)
	}
	// A sale is no edit: the versions that the editor knows still hold.
	b.must(t, 200, "PATCH", variantPath, `{"price":{"amount":17900,"currency":"EUR"}}`, "If-Match", variant.header.Get("ETag"))

	all := b.must(t, 200, "GET", "/v1/admin/orders?status=pending_payment", "", "Consistency-Token", order.token())
	if !strings.Contains(string(all.body), order.field("number")) {
		t.Errorf("all orders: %s", all.body)
	}
	orderPath := "/v1/admin/orders/" + order.field("id")
	b.must(t, 409, "PATCH", orderPath, `{"status":"shipped"}`, "If-Match", order.header.Get("ETag"))
	if _, err := b.Admin(t, b.Primary()).Exec(context.Background(), "UPDATE orders SET status = 'paid'"); err != nil {
		t.Fatal(err)
	}
	shipped := b.must(t, 200, "PATCH", orderPath, `{"status":"shipped"}`, "If-Match", order.header.Get("ETag"))
	if mine := me.do(t, "GET", "/v1/orders/"+order.field("id"), "", "Consistency-Token", shipped.token()); mine.field("status") != "shipped" {
		t.Errorf("the shopper's order: %s", mine.body)
	}

	gone := b.must(t, 204, "DELETE", path, "", "If-Match", active.header.Get("ETag"))
	if got := listed(gone.token()); strings.Contains(got, "arc-lamp") || len(gone.body) != 0 {
		t.Errorf("archived and listed: %s", got)
	}
	b.must(t, 409, "DELETE", "/v1/admin/categories/"+category.field("id"), "", "If-Match", "*")
	dbtest.Eventually(t, "every action is in the audit", func() bool {
		return strings.Count(b.log.String(), `msg="admin action" key=ada`) == 10
	})
}

// An address that has failed ten times within a minute is shut out for the rest of it,
// with a good key too, on every route and on those that are none. The public listener
// knows nothing of that.
func TestTooManyFailuresShutAnAddressOut(t *testing.T) {
	b := newBackOffice(t)
	key := []string{"X-API-Key", canaryAll}
	for range 20 { // who succeeds fails nobody
		b.must(t, 200, "GET", "/v1/admin/orders", "")
	}
	for i := range 10 {
		a := send(t, "GET", b.back+"/v1/admin/orders", nil, "X-API-Key", canaryAll[:20+i])
		if a.status != 401 || a.field("code") != "unauthorized" || a.header.Get("WWW-Authenticate") == "" || a.source() != "" {
			t.Fatalf("failure %d: %d %s", i+1, a.status, a.body)
		}
	}
	for _, try := range [][]string{key, nil, {"X-API-Key", "wrong"}} {
		for _, path := range []string{"/v1/admin/orders", "/v1/admin/products/" + id.New().String(), "/elsewhere"} {
			a := send(t, "GET", b.back+path, nil, try...)
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			if a.status != 429 || a.field("code") != "too_many_failures" || err != nil || seconds < 1 || seconds > 60 {
				t.Errorf("GET %s after ten failures: %d %s, Retry-After %q", path, a.status, a.body, a.header.Get("Retry-After"))
			}
		}
	}
	if a := b.get(t, "/v1/orders", "Authorization", "Bearer "+strings.Repeat("A", 43)); a.status != 401 {
		t.Errorf("on the public listener: %d %s", a.status, a.body)
	}
	b.crowd.apart.Store(true)
	if _, a := exchange(t, apart, "GET", b.back+"/v1/admin/orders", nil, key...); a.status != 200 {
		t.Errorf("from another address: %d %s", a.status, a.body)
	}
	if n := strings.Count(b.log.String(), `msg="admin key refused"`); n != 10 {
		t.Errorf("%d failures are in the log, want 10", n)
	}
}

// A secret is rotated by giving its name twice for a while: with three starts of the
// shop nobody is shut out, and then the old secret is worth nothing. What was done
// under an Idempotency-Key with the old one is not done again with the new one.
func TestRotatingAKeyShutsNobodyOut(t *testing.T) {
	s := newShop(t)
	const old, both, renewed = "ada:stock:" + canaryAll, "ada:stock:" + canaryAll + ",ada:stock:" + keyRetired, "ada:stock:" + keyRetired
	var first string
	for _, start := range []struct {
		keys      string
		old, next int
	}{{old, 201, 401}, {both, 201, 201}, {renewed, 401, 201}} {
		b := s.openWith(t, start.keys)
		for secret, want := range map[string]int{canaryAll: start.old, keyRetired: start.next} {
			a := send(t, "POST", b.back+"/v1/admin/variants/"+s.variant+"/stock-adjustments",
				strings.NewReader(`{"delta":1,"reason":"delivery"}`), "X-API-Key", secret, "Idempotency-Key", "rotation")
			switch {
			case a.status != want:
				t.Errorf("keys %.20s...: %d %s, want %d", start.keys, a.status, a.body, want)
			case want == 201 && first == "":
				first = a.field("id")
			case want == 201 && (a.field("id") != first || a.header.Get("Idempotent-Replayed") != "true"):
				t.Errorf("the same request with the other secret was done again: %s", a.body)
			}
		}
	}
}

// Without keys there is no listener and no route; without a listener no key is
// taken.
func TestAdminConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("# rotated in May\nada:catalog:"+canaryAll+"\nbob:orders:"+canaryStock+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		set  func(*serveCmd)
		keys int
		want string
	}{
		{"neither", func(*serveCmd) {}, 0, ""},
		{"both", func(c *serveCmd) { c.AdminAddr, c.AdminKeys = ":0", "ada:catalog:"+canaryAll }, 1, ""},
		{"file", func(c *serveCmd) { c.AdminAddr, c.AdminKeysFile = ":0", file }, 2, ""},
		{"file and key", func(c *serveCmd) {
			c.AdminAddr, c.AdminKeysFile, c.AdminKeys = ":0", file, "eve:stock:canary-2-ffeeddccbbaa99887766554433"
		}, 3, ""},
		{"address alone", func(c *serveCmd) { c.AdminAddr = ":0" }, 0, "SHOP_ADMIN_KEYS"},
		{"keys alone", func(c *serveCmd) { c.AdminKeys = "ada:catalog:" + canaryAll }, 1, "SHOP_ADMIN_ADDR"},
		{"weak key", func(c *serveCmd) { c.AdminAddr, c.AdminKeys = ":0", "ada:catalog:"+canaryAll[:31] }, 0, "31 bytes"},
		{"bad scope", func(c *serveCmd) { c.AdminAddr, c.AdminKeys = ":0", "ada:all:"+canaryAll }, 0, "scope"},
		{"secret in both", func(c *serveCmd) {
			c.AdminAddr, c.AdminKeysFile, c.AdminKeys = ":0", file, "eve:stock:"+canaryAll
		}, 0, "another"},
		{"no such file", func(c *serveCmd) { c.AdminAddr, c.AdminKeysFile = ":0", file+"x" }, 0, "SHOP_ADMIN_KEYS_FILE"},
		{"bad address", func(c *serveCmd) { c.AdminAddr, c.AdminKeysFile = "8081", file }, 2, "SHOP_ADMIN_ADDR"},
	} {
		flags := testFlags(t)
		flags.Nodes = "primary=" + aDSN
		test.set(&flags)
		set, err := flags.settings()
		switch {
		case (err == nil) != (test.want == "") || len(set.adminKeys) != test.keys:
			t.Errorf("%s: %d keys, %v", test.name, len(set.adminKeys), err)
		case err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canaryAll[:16])):
			t.Errorf("%s: %v", test.name, err)
		}
	}
	var out buffer
	t.Setenv("SHOP_NODES", "primary="+aDSN)
	t.Setenv("SHOP_TOKEN_KEY", testFlags(t).TokenKey)
	t.Setenv("SHOP_ADMIN_ADDR", "127.0.0.1:0")
	t.Setenv("SHOP_ADMIN_KEYS", "ada:catalog:short")
	if code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0"}, &app{&out, &out}); code != 1 || !strings.Contains(out.String(), "SHOP_ADMIN_KEYS") {
		t.Errorf("serve with a weak key: exit %d\n%s", code, out.String())
	}
}

// What is under way on the admin listener is finished as well.
func TestStoppingFinishesTheBackOffice(t *testing.T) {
	s := newShop(t)
	set := s.settings
	set.AdminAddr, set.AdminKeys = "127.0.0.1:0", "ada:catalog+stock+orders:"+canaryAll
	set, err := set.settings()
	if err != nil {
		t.Fatal(err)
	}
	second, err := newServer(set, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, _ := second.openBackOffice(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- second.serve(ctx, public) }()
	if err := second.router.AwaitPrimary(t.Context()); err != nil {
		t.Fatal(err)
	}
	holder, observer := s.Admin(t, s.Primary()), s.Admin(t, s.Primary())
	if _, err := holder.Exec(t.Context(), "BEGIN; SELECT FROM variants FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer)
	go func() {
		got <- send(t, "PATCH", back+"/v1/admin/variants/"+s.variant, strings.NewReader(`{"active":false}`),
			"X-API-Key", canaryAll, "If-Match", "*")
	}()
	dbtest.Eventually(t, "the edit waits for the row", func() bool {
		var waits bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits)
		return err == nil && waits
	})
	stop()
	dbtest.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", second.admin.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.status != 200 {
		t.Errorf("%d %s, want the answer to a request under way", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
