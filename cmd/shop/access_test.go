package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/dbtest"
)

// The public listener: a row for each route, with the status that each principal's
// request gets. The request is the one that the owner succeeds with.
//
//	nobody     no credentials
//	malformed  whatever looks like a token and is none
//	unissued   a token of the right form that nobody was given
//	staff      an admin key of all scopes, and no token
//	stranger   another shopper, with a cart and an order of their own
//	late       an owner whose cart and order have expired, asking for these; the
//	           token itself never expires
//	owner
//	door       the admin listener, asked with the owner's token and an admin key
const publicAccess = `
                                          nobody malformed unissued staff stranger late owner door
GET    /healthz                           200    200       200      200   200      200  200   404
GET    /readyz                            200    200       200      200   200      200  200   404
GET    /openapi.yaml                      200    200       200      200   200      200  200   404
GET    /openapi.json                      200    200       200      200   200      200  200   404
GET    /docs                              200    200       200      200   200      200  200   404
GET    /docs/{file}                       200    200       200      200   200      200  200   404
GET    /problems                          200    200       200      200   200      200  200   404
GET    /problems/{code}                   200    200       200      200   200      200  200   404
GET    /lab                               200    200       200      200   200      200  200   404
GET    /lab/{file}                        200    200       200      200   200      200  200   404
GET    /v1/replication/events             200    200       200      200   200      200  200   404
GET    /v1/replication                    200    200       200      200   200      200  200   404
GET    /v1/categories                     200    200       200      200   200      200  200   404
GET    /v1/categories/{slug}              200    200       200      200   200      200  200   404
GET    /v1/products                       200    200       200      200   200      200  200   404
GET    /v1/products/{slug}                200    200       200      200   200      200  200   404
GET    /v1/availability                   200    200       200      200   200      200  200   404
GET    /v1/search                         200    200       200      200   200      200  200   404
GET    /v1/search/suggest                 200    200       200      200   200      200  200   404
POST   /v1/carts                          201    401       401      201   201      201  201   404
GET    /v1/carts/{id}                     401    401       404      401   404      200  200   404
POST   /v1/carts/{id}/items               401    401       404      401   404      409  200   404
PUT    /v1/carts/{id}/items/{variant_id}  401    401       404      401   404      409  200   404
DELETE /v1/carts/{id}/items/{variant_id}  401    401       404      401   404      409  200   404
POST   /v1/carts/{id}/checkout            401    401       404      401   404      409  201   404
GET    /v1/orders                         401    401       401      401   200      200  200   404
GET    /v1/orders/{id}                    401    401       404      401   404      200  200   404
POST   /v1/orders/{id}/payments           401    401       404      401   404      409  200   404
POST   /v1/orders/{id}/cancel             401    401       404      401   404      409  200   404
`

// The admin listener.
//
//	nobody     no credentials
//	malformed  whatever looks like the key and is not, or comes in the wrong place
//	retired    a key that was valid until the last rotation
//	shopper    a shopper's token, as a bearer and as a key
//	catalog, stock, orders
//	           a key of that scope alone; the request is the one that the right one
//	           of them succeeds with
//	door       the public listener, asked with a key of all scopes and a shopper's token
const adminAccess = `
                                               nobody malformed retired shopper catalog stock orders door
POST   /v1/admin/categories                    401    401       401     401     201     403   403    404
PATCH  /v1/admin/categories/{id}               401    401       401     401     200     403   403    404
DELETE /v1/admin/categories/{id}               401    401       401     401     204     403   403    404
POST   /v1/admin/products                      401    401       401     401     201     403   403    404
GET    /v1/admin/products/{id}                 401    401       401     401     200     403   403    404
PATCH  /v1/admin/products/{id}                 401    401       401     401     200     403   403    404
DELETE /v1/admin/products/{id}                 401    401       401     401     204     403   403    404
POST   /v1/admin/products/{id}/variants        401    401       401     401     201     403   403    404
PATCH  /v1/admin/variants/{id}                 401    401       401     401     200     403   403    404
POST   /v1/admin/variants/{id}/stock-adjustments 401  401       401     401     403     201   403    404
GET    /v1/admin/variants/{id}/stock-movements 401    401       401     401     403     200   403    404
GET    /v1/admin/orders                        401    401       401     401     403     403   200    404
PATCH  /v1/admin/orders/{id}                   401    401       401     401     403     403   200    404
`

// Every route is asked as every principal, those that are to be refused first. The
// routes are the routers' own: a route without a row fails, and a row without a route.
// What is refused, and what only reads, changes no row of any table.
func TestAccess(t *testing.T) {
	w := newWorld(t, dbtest.New(t))
	rows := map[string]accessRow{}
	for _, listener := range []struct {
		table   string
		handler http.Handler
	}{{publicAccess, w.handler()}, {adminAccess, w.adminHandler()}} {
		own := parseAccess(t, listener.table)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(own)), routesOf(t, listener.handler)); diff != "" {
			t.Errorf("the rows (-) and the routes (+) differ:\n%s", diff)
		}
		maps.Copy(rows, own) // no path is on both, or door would not be 404
	}
	if len(w.asks) != len(rows) {
		t.Errorf("%d requests for %d rows", len(w.asks), len(rows))
	}
	for _, ask := range w.asks {
		t.Run(ask.route, func(t *testing.T) { w.askAsEverybody(t, ask, rows[ask.route]) })
	}
}

// routesOf lists a router's routes.
func routesOf(t *testing.T, handler http.Handler) (routes []string) {
	t.Helper()
	err := chi.Walk(handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(routes)
	return routes
}

// An accessRow is the status that each principal gets.
type accessRow map[string]int

func parseAccess(t testing.TB, table string) map[string]accessRow {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	principals := strings.Fields(lines[0])
	rows := map[string]accessRow{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		if len(cells) != 2+len(principals) {
			t.Fatalf("%q has %d cells", line, len(cells))
		}
		row := accessRow{}
		for i, who := range principals {
			status, err := strconv.Atoi(cells[2+i])
			if err != nil {
				t.Fatal(err)
			}
			row[who] = status
		}
		rows[cells[0]+" "+cells[1]] = row
	}
	return rows
}

// askAsEverybody also asks again, once the owner has succeeded, as those who must not
// be told: what an Idempotency-Key remembers is for the caller who sent it.
func (w *world) askAsEverybody(t *testing.T, a ask, row accessRow) {
	refused, taken := []string{}, []string{}
	for _, who := range slices.Sorted(maps.Keys(row)) {
		if row[who] >= 400 {
			refused = append(refused, who)
		} else {
			taken = append(taken, who)
		}
	}
	if len(taken) == 0 {
		t.Fatal("nobody succeeds, so the test shows nothing")
	}
	for _, who := range slices.Concat(refused, taken, refused) {
		for _, p := range w.principals(who, a.admin) {
			w.askAs(t, a, p, row[who])
		}
		was := w.kept
		w.kept = w.state(t)
		if row[who] < 400 && a.method != http.MethodGet {
			continue
		}
		if who == "late" { // who is told that it is too late, and whose key remembers it
			delete(was, "idempotency_keys")
		}
		if changed := differ(was, w.kept); len(changed) > 0 {
			t.Errorf("as %s, to be answered %d: %v changed", who, row[who], changed)
		}
	}
}

// differ lists the tables of was that are another now.
func differ(was, now map[string]string) (tables []string) {
	for table, digest := range was {
		if now[table] != digest {
			tables = append(tables, table)
		}
	}
	return tables
}

func (w *world) askAs(t *testing.T, a ask, p principal, want int) {
	t.Helper()
	methods := []string{a.method}
	if a.method == http.MethodGet {
		methods = append(methods, http.MethodHead) // which no router lists
	}
	for _, method := range methods {
		got := w.send(t, p, a, method)
		if got.status != want {
			t.Errorf("%s as %s: %d %.200s, want %d", method, p, got.status, got.body, want)
		}
		w.tellsNothing(t, p, a, got)
	}
}

// tellsNothing: a refusal has no member beyond those of every problem, and no answer to
// somebody else has what is the owner's.
func (w *world) tellsNothing(t *testing.T, p principal, a ask, got answer) {
	t.Helper()
	var members map[string]any
	if got.status == 401 || got.status == 403 || got.status == 404 {
		_ = json.Unmarshal(got.body, &members)
	}
	for _, usual := range []string{"type", "title", "status", "code", "detail", "instance", "request_id"} {
		delete(members, usual)
	}
	if len(members) > 0 {
		t.Errorf("%s as %s tells %v", a.route, p, members)
	}
	for _, secret := range w.secrets {
		if p.name != "owner" && !a.admin && !strings.Contains(a.path, secret) && strings.Contains(string(got.body), secret) {
			t.Errorf("%s as %s tells %s", a.route, p, secret)
		}
	}
}
