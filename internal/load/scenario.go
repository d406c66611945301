package load

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// runner makes the journeys of one run.
type runner struct {
	plan     Plan
	client   *client
	catalog  *catalog
	recorder *recorder
	books    *books
}

// journey is what one shopper does, from the moment at which they were meant to come.
func (r *runner) journey(ctx context.Context, n int, meant time.Time) {
	c := r.plan.chance(n)
	switch r.plan.Scenario {
	case "browse":
		r.browse(ctx, c, meant)
	case "search":
		r.search(ctx, c, meant)
	case "checkout":
		r.buy(ctx, meant, r.catalog.two(c), n)
	case "hot":
		r.buy(ctx, meant, r.catalog.variants[:1], n)
	case "mixed": // of a hundred visitors eighty-five look around, ten search, five buy
		switch what := c.IntN(100); {
		case what < 85:
			r.browse(ctx, c, meant)
		case what < 95:
			r.search(ctx, c, meant)
		default:
			r.buy(ctx, meant, r.catalog.two(c), n)
		}
	}
}

// measured sends a request and records it. meant is when it was to be sent.
func (r *runner) measured(ctx context.Context, meant time.Time, q request) answer {
	a := r.client.send(ctx, q)
	if a.status == 0 && ctx.Err() != nil {
		return a // the run was ended, and not by the shop
	}
	m := measure{op: q.op, status: a.status, code: a.code, took: time.Since(meant)}
	if q.method == "GET" && a.ok() {
		m.source = a.source
	}
	r.recorder.add(meant, m)
	return a
}

// browse is one page: of a hundred sixty are of a product, thirty-five a list, and five
// the tree of categories.
func (r *runner) browse(ctx context.Context, c chance, meant time.Time) {
	q := request{op: "categories", method: "GET", path: "/v1/categories"}
	switch what := c.IntN(100); {
	case what < 60:
		q.op, q.path = "product", "/v1/products/"+r.catalog.products[c.popular(len(r.catalog.products))]
	case what < 80:
		q.op, q.path = "list", "/v1/products"
	case what < 95:
		q.op, q.path = "list in category", "/v1/products?category="+r.catalog.slugs[c.popular(len(r.catalog.slugs))]
	}
	r.measured(ctx, meant, q)
}

func (r *runner) search(ctx context.Context, c chance, meant time.Time) {
	r.measured(ctx, meant, request{op: "search", method: "GET", path: "/v1/search?q=" + r.catalog.query(c)})
}

// two are different variants, if there are two.
func (all *catalog) two(c chance) []string {
	n := len(all.variants)
	first := c.popular(n)
	second := c.popular(n)
	if second == first {
		second = (first + 1) % n
	}
	if n == 1 {
		return all.variants[:1]
	}
	return []string{all.variants[first], all.variants[second]}
}

type order struct {
	ID     string
	Status string
	Items  []struct {
		VariantID string `json:"variant_id"`
		Quantity  int
	}
}

const checkoutForm = `{"email":"load@example.com","shipping_address":{"name":"Load Test","line1":"1 Test Road","city":"London","postal_code":"N1 1AA","country":"GB"}}`

// buy puts one of each variant into a new cart, orders it, and looks at the order.
func (r *runner) buy(ctx context.Context, meant time.Time, variants []string, n int) {
	var cart struct {
		ID           string
		ShopperToken string `json:"shopper_token"`
	}
	made := r.measured(ctx, meant, request{
		op: "create cart", method: "POST", path: "/v1/carts", body: cartBody(variants), into: &cart,
	})
	if !made.ok() {
		return
	}
	sale := &sale{
		path: "/v1/carts/" + cart.ID + "/checkout", bearer: cart.ShopperToken,
		key: fmt.Sprintf("load-%d", n), variants: variants,
	}
	r.pause(ctx)
	a := r.checkout(ctx, sale, made.token)
	if !a.ok() {
		return
	}
	r.pause(ctx)
	var seen order
	a = r.measured(ctx, time.Now(), request{
		op: "read own order", method: "GET", path: "/v1/orders/" + sale.order, bearer: sale.bearer, token: a.token, into: &seen,
	})
	if a.status != 0 && a.status < 500 && a.status != 429 { // else it could not be asked
		r.books.ownRead(sale, a.status, seen)
	}
}

// sale is one checkout, as the client knows it.
type sale struct {
	path, bearer, key string
	variants          []string // one of each
	order             string   // "" unless it was acknowledged
}

func (s *sale) request(into *order) request {
	return request{op: "checkout", method: "POST", path: s.path, body: checkoutForm, bearer: s.bearer, key: s.key, into: into}
}

// unknownTries is how often a checkout is asked for its outcome.
const unknownTries = 5

// checkout sends it again, with the same key, for as long as its outcome is not known.
// Each try is a request of its own in the figures.
func (r *runner) checkout(ctx context.Context, s *sale, token string) answer {
	var a answer
	for try := range unknownTries {
		if try > 0 && !sleep(ctx, time.Duration(try)*200*time.Millisecond) {
			break
		}
		var placed order
		q := s.request(&placed)
		q.token = token
		r.books.asked(s)
		if a = r.measured(ctx, time.Now(), q); a.ok() {
			s.order = placed.ID
			r.books.sold(s)
			return a
		}
		if a.status != 0 && a.status < 500 {
			r.books.refused(s)
			return a
		}
	}
	return a // and the books keep it as unknown
}

func (r *runner) pause(ctx context.Context) {
	if r.plan.Think > 0 {
		sleep(ctx, r.plan.Think)
	}
}

// sleep reports whether ctx lives on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func cartBody(variants []string) string {
	type item struct {
		VariantID string `json:"variant_id"`
		Quantity  int    `json:"quantity"`
	}
	items := make([]item, len(variants))
	for i, v := range variants {
		items[i] = item{v, 1}
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(body)
}
