package shoppers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
)

// Shop is a closed loop of one client: browse, fill a cart, look at it, check it
// out, look at the order, until ctx ends. What it has begun it then finishes, so
// that doubts are resolved.
func (c *Crowd) Shop(ctx context.Context, id int) {
	client := c.NewCaller(id)
	for ctx.Err() == nil {
		if client.rand.IntN(12) == 0 {
			client.newSession()
		}
		if !client.buy(ctx) {
			Pause(ctx, 20*time.Millisecond, client.rand) // nothing works now: do not spin
		}
		if c.Think > 0 {
			Pause(ctx, c.Think, client.rand)
		}
	}
}

// NewCaller is one more client, with a session of its own.
func (c *Crowd) NewCaller(id int) *Caller {
	client := &Caller{crowd: c, id: id, rand: rand.New(rand.NewPCG(c.seed, uint64(id)))}
	client.newSession()
	return client
}

// OtherDevice is the same shopper with tokens of its own.
func (c *Caller) OtherDevice(id int) *Caller {
	other := c.crowd.NewCaller(id)
	other.auth = c.auth
	return other
}

// Twin is a client of the same session, with the same tokens, as another tab is.
func (c *Caller) Twin(id int) *Caller {
	twin := *c
	twin.id, twin.rand = id, rand.New(rand.NewPCG(c.crowd.seed, uint64(id)))
	return &twin
}

// newSession is another shopper on the same machine.
func (c *Caller) newSession() {
	c.session = fmt.Sprintf("%d-%d", c.id, c.crowd.sessions.Add(1))
	c.auth, c.tokens = "", &jar{}
}

// Pause waits up to longest, or until ctx ends.
func Pause(ctx context.Context, longest time.Duration, r *rand.Rand) {
	select {
	case <-ctx.Done():
	case <-time.After(longest/2 + time.Duration(r.Int64N(int64(longest/2)))):
	}
}

// buy is one visit. It reports whether there was an order or a final no.
func (c *Caller) buy(ctx context.Context) bool {
	c.browse(ctx)
	lines := c.crowd.wants(c.rand)
	created := c.CreateCart(ctx, lines[0])
	if created.Outcome != checker.OK {
		if created.Outcome == checker.Unknown && c.auth == "" {
			c.newSession() // there may be a shopper, and nobody knows their token
		}
		return false
	}
	cart := created.Cart
	c.fill(ctx, cart, lines[1:])
	if c.rand.IntN(4) == 0 {
		c.SetItem(ctx, cart, Line{lines[0].Variant, 1 + c.rand.IntN(2)})
	}
	c.ReadCart(ctx, cart)
	c.browse(ctx)
	order, settled := c.Checkout(ctx, cart)
	if order != "" {
		c.readOrder(ctx, order)
		c.listOrders(ctx)
		c.ReadCart(ctx, cart)
	}
	return settled
}

// Line is one line of a cart that is wished for.
type Line struct {
	Variant  string
	Quantity int
}

// wants chooses what to buy: mostly one of a variant that everybody wants until
// it is sold out, so that clients compete, else several of those that are never
// short, in any order, so that transactions could deadlock.
func (c *Crowd) wants(r *rand.Rand) []Line {
	if r.IntN(3) > 0 {
		if i := int(c.wanted.Add(1)) / buyersOfOne; i < len(c.Hot) {
			return []Line{{c.Hot[i], 1 + r.IntN(2)}}
		}
	}
	lines := make([]Line, 2+r.IntN(2))
	for i, at := range r.Perm(len(c.Cold))[:len(lines)] {
		lines[i] = Line{c.Cold[at], 1 + r.IntN(3)}
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

// CreateCart makes a cart with one line; without a shopper it makes one, too.
func (c *Caller) CreateCart(ctx context.Context, l Line) checker.Op {
	body := map[string]any{"items": []any{l.body()}}
	return c.send(ctx, request{"POST", "/v1/carts", body, "", checker.Op{Kind: checker.CreateCart, Variant: l.Variant, Quantity: l.Quantity}})
}

func (l Line) body() map[string]any {
	return map[string]any{"variant_id": l.Variant, "quantity": l.Quantity}
}

// fill adds the lines one by one, or, as if from several tabs, all at once.
func (c *Caller) fill(ctx context.Context, cart string, lines []Line) {
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

func (c *Caller) addItem(ctx context.Context, cart string, l Line) {
	c.send(ctx, request{"POST", "/v1/carts/" + cart + "/items", l.body(), "", checker.Op{
		Kind: checker.AddItem, Cart: cart, Variant: l.Variant, Quantity: l.Quantity,
	}})
}

// SetItem sets a line of the cart.
func (c *Caller) SetItem(ctx context.Context, cart string, l Line) {
	c.send(ctx, request{"PUT", "/v1/carts/" + cart + "/items/" + l.Variant, map[string]any{"quantity": l.Quantity}, "", checker.Op{
		Kind: checker.SetItem, Cart: cart, Variant: l.Variant, Quantity: l.Quantity,
	}})
}

// ReadCart looks at the cart.
func (c *Caller) ReadCart(ctx context.Context, cart string) checker.Op {
	return c.send(ctx, request{"GET", "/v1/carts/" + cart, nil, "", checker.Op{Kind: checker.ReadCart, Cart: cart}})
}

func (c *Caller) readOrder(ctx context.Context, order string) {
	c.send(ctx, request{"GET", "/v1/orders/" + order, nil, "", checker.Op{Kind: checker.ReadOrder, Order: order}})
}

func (c *Caller) listOrders(ctx context.Context) {
	c.send(ctx, request{"GET", "/v1/orders?limit=100", nil, "", checker.Op{Kind: checker.ListOrders}})
}

var browsePaths = []string{"/v1/products?limit=12", "/v1/products?sort=price&limit=12", "/v1/categories", "/v1/search?q=chair&limit=5", "/v1/products"}

// Categories looks at the tree of categories, with the session's tokens.
func (c *Caller) Categories(ctx context.Context) {
	c.send(ctx, request{"GET", "/v1/categories", nil, "", checker.Op{Kind: checker.Browse}})
}

// browse looks at a list, every other time as somebody without a session.
func (c *Caller) browse(ctx context.Context) {
	who := *c
	if c.rand.IntN(2) == 0 {
		who.session, who.auth, who.tokens = "", "", &jar{}
	}
	path := browsePaths[c.rand.IntN(len(browsePaths))]
	who.send(ctx, request{"GET", path, nil, "", checker.Op{Kind: checker.Browse}})
}

// Checkout asks again with the same key until the answer is final, at any
// instance, for as long as a patient shopper would. It returns the order's id, if
// there is one, and whether the answer was final.
func (c *Caller) Checkout(ctx context.Context, cart string) (order string, final bool) {
	key := fmt.Sprintf("key-%s-%d", c.session, c.crowd.keysMade.Add(1))
	// Also after the run: a doubt that nobody asks about stays one.
	ctx = context.WithoutCancel(ctx)
	for start := time.Now(); time.Since(start) < c.crowd.ShopperPatience; Pause(ctx, 60*time.Millisecond, c.rand) {
		op := c.CheckoutOnce(ctx, cart, key)
		switch {
		case op.Outcome == checker.OK:
			return op.SeenOrder.ID, true
		case op.Outcome == checker.Failed && op.Status >= 400 && op.Status < 500 && op.Code != "idempotency_in_progress":
			return "", true
		}
	}
	return "", false
}

// CheckoutOnce asks for the cart's order under a key, and takes any answer.
func (c *Caller) CheckoutOnce(ctx context.Context, cart, key string) checker.Op {
	return c.send(ctx, request{"POST", "/v1/carts/" + cart + "/checkout", checkoutForm, key, checker.Op{Kind: checker.Checkout, Cart: cart}})
}

var checkoutForm = map[string]any{
	"email": "ada@example.com",
	"shipping_address": map[string]string{
		"name": "Ada", "line1": "1 Main St", "city": "London", "postal_code": "N1", "country": "GB",
	},
}
