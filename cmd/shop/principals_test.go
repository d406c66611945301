package main

import (
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/dbtest"
)

// Keys of one scope each, and one that is no longer valid.
const (
	keyCatalog = "canary-2-ffeeddccbbaa99887766554433"
	keyOrders  = "canary-3-0123456789abcdef0123456789"
	keyRetired = "canary-4-fedcba9876543210fedcba9876"

	keysNow    = "ada:catalog+stock+orders:" + canaryAll + ",cat:catalog:" + keyCatalog + ",bob:stock:" + canaryStock + ",oda:orders:" + keyOrders
	keysBefore = keysNow + ",ada:catalog+stock+orders:" + keyRetired
)

// A world is a shop with everybody in it, and for each operation a request that its
// owner succeeds with.
type world struct {
	*backOffice
	owner, stranger, late *shopper
	unissued              string
	asks                  []ask
	lates                 *strings.Replacer // of the owner's ids by those of the late one
	secrets               []string          // the ids of the owner's cart and order

	db     *pgx.Conn
	tables string            // SQL
	kept   map[string]string // what the database must be like
}

// newWorld has no sweeper, so that nothing changes by itself.
func newWorld(t testing.TB, env *dbtest.Env) *world {
	t.Helper()
	before := serveOn(t, env, func(c *serveCmd) { c.ExpireEvery = 0 }).openWith(t, keysBefore)
	if a := send(t, "GET", before.back+"/v1/admin/orders", nil, "X-API-Key", keyRetired); a.status != 200 {
		t.Fatalf("the key that is to be retired is not valid before: %d", a.status)
	}
	w := &world{backOffice: before.openWith(t, keysNow), unissued: "Bearer " + strings.Repeat("A", 43)}
	w.crowd.apart.Store(true)
	one := item(w.variant, "1")
	w.owner, w.stranger, w.late = w.newShopper(t, one), w.newShopper(t, one), w.newShopper(t, one)
	w.asks = w.owner.oneOfEach(t)
	w.stranger.buy(t)
	w.secrets = []string{strings.TrimPrefix(w.owner.cart, "/v1/carts/"), w.pathID(t, "getOrder")}
	lates := w.expire(t, w.late)
	w.lates = strings.NewReplacer(w.secrets[0], lates[0], w.secrets[1], lates[1])
	w.CatchUp(t) // or a read without a consistency token may be right not to know them
	w.db = w.Admin(t, w.Primary())
	w.tables = w.listTables(t)
	w.kept = w.state(t)
	return w
}

// buy makes the shopper's cart an order.
func (s *shopper) buy(t testing.TB) (order string) {
	t.Helper()
	a := s.checkout(t, "bought")
	if a.status != 201 {
		t.Fatalf("checkout: %d %s", a.status, a.body)
	}
	return a.field("id")
}

// pathID is the id in the path of an operation's ask.
func (w *world) pathID(t testing.TB, operation string) string {
	t.Helper()
	i := slices.IndexFunc(w.asks, func(a ask) bool { return a.op.OperationID == operation })
	return path.Base(w.asks[i].path)
}

// expire makes a shopper's cart an order that the sweeper expires, and then another
// cart of theirs expired, which nothing does yet but SQL.
func (w *world) expire(t testing.TB, s *shopper) (cartAndOrder [2]string) {
	t.Helper()
	order := s.buy(t)
	cart := s.do(t, "POST", "/v1/carts", `{"items":[`+item(s.variant, "1")+`]}`).field("id")
	conn := w.Admin(t, w.Primary())
	for sql, id := range map[string]string{
		"UPDATE carts SET status = 'expired' WHERE id = $1":  cart,
		"UPDATE orders SET expires_at = now() WHERE id = $1": order,
	} {
		if _, err := conn.Exec(t.Context(), sql, id); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.orders.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d orders expired, %v", n, err)
	}
	return [2]string{cart, order}
}

// A principal is who sends a request, and to which listener.
type principal struct {
	name, what string
	base       string
	header     http.Header
}

func (p principal) String() string { return p.name + " (" + p.what + ")" }

// principals are those that one column stands for.
func (w *world) principals(name string, admin bool) []principal {
	const auth, key = "Authorization", "X-Api-Key"
	own, other, token := w.url, w.back, strings.TrimPrefix(w.owner.auth, "Bearer ")
	if admin {
		own, other = other, own
	}
	as := func(what string, header http.Header) principal { return principal{name, what, own, header} }
	switch {
	case name == "door":
		p := as("the other listener", http.Header{auth: {w.owner.auth}, key: {canaryAll}})
		p.base = other
		return []principal{p}
	case name == "nobody":
		return []principal{as("nothing", http.Header{})}
	case name == "malformed" && !admin:
		return w.spelled(name, own, auth, map[string][]string{
			"empty": {""}, "short": {"Bearer x"}, "cut": {"Bearer " + token[:42]}, "longer": {"Bearer " + token + "A"},
			"padded": {"Bearer " + token + "="}, "another scheme": {"Basic " + token}, "no scheme": {token},
			"two blanks": {"Bearer  " + token}, "twice": {w.owner.auth, w.owner.auth}, "a list": {w.owner.auth + ", " + w.owner.auth},
			"an admin key": {"Bearer " + canaryAll},
		})
	case name == "malformed":
		wrong := w.spelled(name, own, key, map[string][]string{
			"empty": {""}, "wrong": {"wrong"}, "cut": {canaryAll[:len(canaryAll)-1]}, "longer": {canaryAll + "0"},
			"other case": {strings.ToUpper(canaryAll)}, "name": {"ada"}, "entry": {"ada:catalog+stock+orders:" + canaryAll},
			"twice": {canaryAll, canaryAll}, "a list": {canaryAll + "," + canaryStock}, "with a scheme": {"ApiKey " + canaryAll},
		})
		return append(wrong, as("a bearer", http.Header{auth: {"Bearer " + canaryAll}}), as("a cookie", http.Header{"Cookie": {"X-API-Key=" + canaryAll}}))
	case name == "shopper":
		return []principal{as("a bearer", http.Header{auth: {w.owner.auth}}), as("a key", http.Header{key: {token}})}
	}
	header := map[string]http.Header{
		"unissued": {auth: {w.unissued}}, "staff": {key: {canaryAll}},
		"stranger": {auth: {w.stranger.auth}}, "late": {auth: {w.late.auth}}, "owner": {auth: {w.owner.auth}},
		"retired": {key: {keyRetired}}, "catalog": {key: {keyCatalog}}, "stock": {key: {canaryStock}}, "orders": {key: {keyOrders}},
	}[name]
	return []principal{as("one header", header)}
}

// spelled are principals that each have one header wrong in a way of its own.
func (w *world) spelled(name, base, header string, values map[string][]string) (all []principal) {
	for what, v := range values {
		all = append(all, principal{name, what, base, http.Header{header: v}})
	}
	return all
}

// send asks as somebody, over a connection of its own. The Idempotency-Key is the same
// for everybody who asks.
func (w *world) send(t *testing.T, p principal, a ask, method string) answer {
	t.Helper()
	url := p.base + a.path
	if p.name == "late" {
		url = w.lates.Replace(url)
	}
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, p.header)
	if a.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("If-Match", "*")
	req.Header.Set("Idempotency-Key", "access")
	got := do(t, apart, req)
	theContract(t).check(t, req, got)
	return got
}

// apart keeps no connection, so that on a crowd each request comes from elsewhere.
var apart = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// listTables returns SQL that makes a digest of each table.
func (w *world) listTables(t testing.TB) (sql string) {
	t.Helper()
	err := w.db.QueryRow(t.Context(), `SELECT string_agg(format(
			'SELECT %L, md5(coalesce(string_agg(t::text, E''\n'' ORDER BY t::text), '''')) FROM %I t', relname, relname), ' UNION ALL ')
		FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`).Scan(&sql)
	if err != nil || strings.Count(sql, "UNION") < 10 {
		t.Fatalf("%q, %v", sql, err)
	}
	return sql
}

// state is a digest of each table.
func (w *world) state(t testing.TB) map[string]string {
	t.Helper()
	rows, err := w.db.Query(t.Context(), w.tables)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	var table, digest string
	if _, err := pgx.ForEachRow(rows, []any{&table, &digest}, func() error { state[table] = digest; return nil }); err != nil {
		t.Fatal(err)
	}
	return state
}
