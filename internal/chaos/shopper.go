package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
)

// shop is a closed loop of one client: browse, fill a cart, look at it, check it
// out, look at the order, until ctx ends. What it has begun it then finishes, so
// that doubts are resolved.
func (w *world) shop(ctx context.Context, id int) {
	c := w.newCaller(id)
	for ctx.Err() == nil {
		if c.rand.IntN(12) == 0 {
			c.newSession()
		}
		if !c.buy(ctx) {
			pause(ctx, 20*time.Millisecond, c.rand) // nothing works now: do not spin
		}
	}
}

func (w *world) newCaller(id int) *caller {
	c := &caller{w: w, id: id, rand: rand.New(rand.NewPCG(w.seed, uint64(id)))}
	c.newSession()
	return c
}

// newSession is another shopper on the same machine.
func (c *caller) newSession() {
	c.session = fmt.Sprintf("%d-%d", c.id, c.w.sessions.Add(1))
	c.auth, c.tokens = "", &jar{}
}

// pause waits up to longest.
func pause(ctx context.Context, longest time.Duration, r *rand.Rand) {
	select {
	case <-ctx.Done():
	case <-time.After(longest/2 + time.Duration(r.Int64N(int64(longest/2)))):
	}
}

// buy is one visit. It reports whether there was an order or a final no.
func (c *caller) buy(ctx context.Context) bool {
	c.browse(ctx)
	lines := c.w.wants(c.rand)
	created := c.createCart(ctx, lines[0])
	if created.Outcome != checker.OK {
		if created.Outcome == checker.Unknown && c.auth == "" {
			c.newSession() // there may be a shopper, and nobody knows their token
		}
		return false
	}
	cart := created.Cart
	c.fill(ctx, cart, lines[1:])
	if c.rand.IntN(4) == 0 {
		c.setItem(ctx, cart, line{lines[0].variant, 1 + c.rand.IntN(2)})
	}
	c.readCart(ctx, cart)
	c.browse(ctx)
	order, settled := c.checkout(ctx, cart)
	if order != "" {
		c.readOrder(ctx, order)
		c.listOrders(ctx)
		c.readCart(ctx, cart)
	}
	return settled
}

// line is one line of a cart that is wished for.
type line struct {
	variant  string
	quantity int
}

// wants chooses what to buy: mostly one of a variant that everybody wants until
// it is sold out, so that clients compete, else several of those that are never
// short, in any order, so that transactions could deadlock.
func (w *world) wants(r *rand.Rand) []line {
	if r.IntN(3) > 0 {
		if i := int(w.wanted.Add(1)) / buyersOfOne; i < len(w.hot) {
			return []line{{w.hot[i], 1 + r.IntN(2)}}
		}
	}
	lines := make([]line, 2+r.IntN(2))
	for i, at := range r.Perm(len(w.cold))[:len(lines)] {
		lines[i] = line{w.cold[at], 1 + r.IntN(3)}
	}
	return lines
}

// buyersOfOne want a hot variant before the next one is hot. There is stock for
// about two thirds of them.
const (
	buyersOfOne = 60
	hotStock    = 60
	coldStock   = 1_000_000
)

func (c *caller) createCart(ctx context.Context, l line) checker.Op {
	body := map[string]any{"items": []any{l.body()}}
	return c.send(ctx, request{"POST", "/v1/carts", body, "", checker.Op{Kind: checker.CreateCart, Variant: l.variant, Quantity: l.quantity}})
}

func (l line) body() map[string]any {
	return map[string]any{"variant_id": l.variant, "quantity": l.quantity}
}

// fill adds the lines one by one, or, as if from several tabs, all at once.
func (c *caller) fill(ctx context.Context, cart string, lines []line) {
	if c.rand.IntN(3) > 0 {
		for _, l := range lines {
			c.addItem(ctx, cart, l)
		}
		return
	}
	var tabs sync.WaitGroup
	for i, l := range lines {
		tab := *c // with the same jar
		tab.rand = rand.New(rand.NewPCG(c.rand.Uint64(), uint64(i)))
		tabs.Go(func() { tab.addItem(ctx, cart, l) })
	}
	tabs.Wait()
}

func (c *caller) addItem(ctx context.Context, cart string, l line) {
	c.send(ctx, request{"POST", "/v1/carts/" + cart + "/items", l.body(), "", checker.Op{
		Kind: checker.AddItem, Cart: cart, Variant: l.variant, Quantity: l.quantity,
	}})
}

func (c *caller) setItem(ctx context.Context, cart string, l line) {
	c.send(ctx, request{"PUT", "/v1/carts/" + cart + "/items/" + l.variant, map[string]any{"quantity": l.quantity}, "", checker.Op{
		Kind: checker.SetItem, Cart: cart, Variant: l.variant, Quantity: l.quantity,
	}})
}

func (c *caller) readCart(ctx context.Context, cart string) checker.Op {
	return c.send(ctx, request{"GET", "/v1/carts/" + cart, nil, "", checker.Op{Kind: checker.ReadCart, Cart: cart}})
}

func (c *caller) readOrder(ctx context.Context, order string) {
	c.send(ctx, request{"GET", "/v1/orders/" + order, nil, "", checker.Op{Kind: checker.ReadOrder, Order: order}})
}

func (c *caller) listOrders(ctx context.Context) {
	c.send(ctx, request{"GET", "/v1/orders?limit=100", nil, "", checker.Op{Kind: checker.ListOrders}})
}

var browsePaths = []string{"/v1/products?limit=12", "/v1/products?sort=price&limit=12", "/v1/categories", "/v1/search?q=chair&limit=5", "/v1/products"}

// browse looks at a list, every other time as somebody without a session.
func (c *caller) browse(ctx context.Context) {
	who := *c
	if c.rand.IntN(2) == 0 {
		who.session, who.auth, who.tokens = "", "", &jar{}
	}
	path := browsePaths[c.rand.IntN(len(browsePaths))]
	who.send(ctx, request{"GET", path, nil, "", checker.Op{Kind: checker.Browse}})
}

// checkout asks again with the same key until the answer is final, at either
// instance, for as long as a patient shopper would. It returns the order's id, if
// there is one, and whether the answer was final.
func (c *caller) checkout(ctx context.Context, cart string) (order string, final bool) {
	key := fmt.Sprintf("key-%s-%d", c.session, c.w.keysMade.Add(1))
	// Also after the run: a doubt that nobody asks about stays one.
	ctx = context.WithoutCancel(ctx)
	for start := time.Now(); time.Since(start) < c.w.shopperPatience; pause(ctx, 60*time.Millisecond, c.rand) {
		op := c.checkoutOnce(ctx, cart, key)
		switch {
		case op.Outcome == checker.OK:
			return op.SeenOrder.ID, true
		case op.Outcome == checker.Failed && op.Status >= 400 && op.Status < 500 && op.Code != "idempotency_in_progress":
			return "", true
		}
	}
	return "", false
}

func (c *caller) checkoutOnce(ctx context.Context, cart, key string) checker.Op {
	return c.send(ctx, request{"POST", "/v1/carts/" + cart + "/checkout", checkoutForm, key, checker.Op{Kind: checker.Checkout, Cart: cart}})
}

var checkoutForm = map[string]any{
	"email": "ada@example.com",
	"shipping_address": map[string]string{
		"name": "Ada", "line1": "1 Main St", "city": "London", "postal_code": "N1", "country": "GB",
	},
}
