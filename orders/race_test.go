package orders

import (
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// TestNoOversell: 64 shoppers, three carts each, one variant, 100 of it; each order in
// a transaction of its own, and in as few as batches of 32 can be.
func TestNoOversell(t *testing.T) {
	t.Parallel()
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		sellOut(t, s, s.variant(t, 700, 100), func() {})
		if n := s.transactions(t); n != 100 {
			t.Errorf("100 orders in %d transactions", n)
		}
	})
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		s := newHotShop(t, 100)
		c := s.store.combiner
		c.running = true // and nobody works the queue off
		sellOut(t, s.shop, s.variant, func() {
			dbtest.Eventually(t, "all stand in the queue", func() bool { return s.queued() == shoppers*carts })
			c.run()
		})
		if n := s.transactions(t); n != 4 { // 32, 32, 32 and the last 4
			t.Errorf("100 orders in %d transactions", n)
		}
		s.told.want(t, shoppers*carts/32, shoppers*carts, 0, 0)
	})
}

const shoppers, carts = 64, 3

// sellOut sends all checkouts at once, and meanwhile calls beside.
func sellOut(t *testing.T, s *shop, variant id.ID, beside func()) {
	t.Helper()
	const stock = 100

	buyers := make([]*client, shoppers)
	wishes := make([][carts]Cart, shoppers)
	together(shoppers, func(i int) {
		buyers[i], wishes[i][0] = s.newCart(t, ItemInput{variant, 1})
		for n := 1; n < carts; n++ {
			wishes[i][n] = buyers[i].nextCart(t, ItemInput{variant, 1})
		}
	})

	var placed, short atomic.Int32
	together(shoppers*carts+1, func(i int) {
		if i == shoppers*carts {
			beside()
			return
		}
		tab, cart := *buyers[i/carts], wishes[i/carts][i%carts]
		r := tab.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", cart.ID.String())
		var problem struct {
			Code  string
			Lines []catalog.Shortage
		}
		r.decode(&problem)
		switch {
		case r.Code == 201:
			placed.Add(1)
		case problem.Code == "insufficient_stock" && len(problem.Lines) == 1 && problem.Lines[0] == catalog.Shortage{VariantID: variant, Requested: 1}:
			short.Add(1)
		default:
			t.Errorf("neither sold nor sold out: %d %s", r.Code, r.Body)
		}
	})

	if placed.Load() != stock || short.Load() != shoppers*carts-stock {
		t.Errorf("%d orders and %d shortages, want %d and %d", placed.Load(), short.Load(), stock, shoppers*carts-stock)
	}
	if n := one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); n != 0 {
		t.Errorf("%d left in stock", n)
	}
	if n := one[int](t, s, "SELECT count(*) FROM orders"); n != stock {
		t.Errorf("%d orders in the database, want %d", n, stock)
	}
	if one[bool](t, s, "SELECT in_stock FROM products WHERE id = $1", s.product) {
		t.Error("the product is still listed as in stock")
	}
	s.audit(t)
}

// TestOppositeCartsDoNotDeadlock puts the same two variants into carts in both
// orders. A deadlock would be retried and stay unseen, so retries are counted.
func TestOppositeCartsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	const shoppers, carts = 16, 4
	s := newShop(t)
	config, registry := s.Config(), prometheus.NewRegistry()
	config.Metrics = registry
	s.store.db = db.New(s.NewRouter(t, config))
	a, b := s.variant(t, 100, 1000), s.variant(t, 200, 1000)

	together(shoppers, func(i int) {
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		for range carts {
			c, cart := s.newCart(t, ItemInput{first, 1})
			add := c.do(t, "POST", cartPath(cart)+"/items", ItemInput{second, 2})
			r := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k")
			if add.Code != 200 || r.Code != 201 {
				t.Errorf("add %d, checkout %d: %s", add.Code, r.Code, r.Body)
			}
		}
	})

	if n := counter(t, registry, "leeway_write_retries_total"); n != 0 {
		deadlocks := one[int](t, s, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
		t.Errorf("%v transactions were retried, and there were %d deadlocks: locks are taken in different orders", n, deadlocks)
	}
	s.audit(t)
}

func counter(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestOneKeyOneOrder sends one checkout twenty times at once.
func TestOneKeyOneOrder(t *testing.T) {
	t.Parallel()
	const twins = 20
	s := newShop(t)
	c, cart := s.newCart(t, ItemInput{s.variant(t, 450, 50), 2})

	replies := make([]reply, twins)
	together(twins, func(i int) {
		twin := *c
		replies[i] = twin.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "same")
	})

	var original int
	for _, r := range replies {
		if r.Code != 201 || r.Body.String() != replies[0].Body.String() {
			t.Errorf("answers differ: %d %s", r.Code, r.Body)
		}
		for _, name := range []string{"ETag", "Location"} {
			if r.Header().Get(name) == "" || r.Header().Get(name) != replies[0].Header().Get(name) {
				t.Errorf("%s is %q, elsewhere %q", name, r.Header().Get(name), replies[0].Header().Get(name))
			}
		}
		if r.Header().Get("Idempotent-Replayed") == "" {
			original++
		}
	}
	if original != 1 {
		t.Errorf("%d answers say that they are the first", original)
	}
	if n := one[int](t, s, "SELECT count(*) FROM orders"); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	s.audit(t)
}

// TestOneCartOneOrder sends twenty checkouts of one cart, each with a key of
// its own: nobody but the first gets an order.
func TestOneCartOneOrder(t *testing.T) {
	t.Parallel()
	const rivals = 20
	s := newShop(t)
	variant := s.variant(t, 450, 50)
	c, cart := s.newCart(t, ItemInput{variant, 2})

	var placed, closed atomic.Int32
	together(rivals, func(int) {
		rival := *c
		r := rival.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", id.New().String())
		var problem struct{ Code string }
		r.decode(&problem)
		switch {
		case r.Code == 201:
			placed.Add(1)
		case r.Code == 409 && problem.Code == "cart_closed":
			closed.Add(1)
		default:
			t.Errorf("%d %s", r.Code, r.Body)
		}
	})
	if placed.Load() != 1 || closed.Load() != rivals-1 {
		t.Errorf("%d orders and %d refusals", placed.Load(), closed.Load())
	}
	if n := one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant); n != 48 {
		t.Errorf("%d left in stock, want 48", n)
	}
	s.audit(t)
}

// TestAddsToOneCartAddUp: the cart's lock makes each add see the one before.
func TestAddsToOneCartAddUp(t *testing.T) {
	t.Parallel()
	const adds = 30
	s := newShop(t)
	variant := s.variant(t, 450, 50)
	c, cart := s.newCart(t)
	together(adds, func(int) {
		tab := *c
		if r := tab.do(t, "POST", cartPath(cart)+"/items", ItemInput{variant, 1}); r.Code != 200 {
			t.Errorf("%d %s", r.Code, r.Body)
		}
	})
	// A token that is zero reads within a second at most; the primary's own
	// view is asked for instead.
	got := c.do(t, "PUT", cartPath(cart)+"/items/"+s.variant(t, 1, 1).String(), map[string]int{"quantity": 1}).want(200, "").cart()
	if got.Items[0].Quantity+got.Items[1].Quantity != adds+1 || got.Version != adds+2 {
		t.Errorf("after %d adds and a set: version %d, items %+v", adds, got.Version, got.Items)
	}
}
