package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"example.com/leeway/api/client"
	"example.com/leeway/internal/id"
)

// A shopper is a client of the shop that comes again and again, each time as somebody
// else.
type shopper struct {
	load  *load
	http  *http.Client
	visit func(*shopper, context.Context, *client.Shop) error
	tries int // of a request that is safe to repeat: who looks goes on to the next page
}

// shop visits until ctx ends. A visit that came to nothing is followed by a longer pause:
// a shop that is in trouble is not to be stormed.
func (s *shopper) shop(ctx context.Context) {
	for ctx.Err() == nil {
		shop, err := client.New(s.load.shop, &client.Session{HTTP: s.http, Tries: s.tries, MaxWait: time.Second})
		if err == nil {
			err = s.visit(s, ctx, shop)
		}
		if err != nil {
			pause(ctx, 2*thinking)
		}
	}
}

// thinking is how long a shopper looks at a page.
const thinking = 80 * time.Millisecond

// pause is d, give or take half of it.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var words = []string{"chair", "lamp", "oak", "wool", "blue", "table"}

// look searches, goes through a list and looks at a product, and buys nothing.
func (s *shopper) look(ctx context.Context, shop *client.Shop) error {
	_, err := shop.SearchProductsWithResponse(ctx, &client.SearchProductsParams{Q: words[rand.IntN(len(words))]})
	if err != nil {
		return err
	}
	pause(ctx, thinking)
	_, err = s.page(ctx, shop)
	return err
}

// page takes a product from a list and looks at it.
func (s *shopper) page(ctx context.Context, shop *client.Shop) (*client.Product, error) {
	inStock, limit := true, 50
	sorts := []client.ListProductsParamsSort{"-created_at", "price", "-price", "name"}
	list, err := shop.ListProductsWithResponse(ctx, &client.ListProductsParams{
		InStock: &inStock, Limit: &limit, Sort: &sorts[rand.IntN(len(sorts))],
	})
	pause(ctx, thinking)
	switch {
	case err != nil || list.JSON200 == nil:
		return nil, refusal(err, func() *client.Problem { return list.ApplicationProblemJSONDefault })
	case len(list.JSON200.Data) == 0:
		return nil, errNothing
	}
	one := list.JSON200.Data[rand.IntN(len(list.JSON200.Data))]
	page, err := shop.GetProductWithResponse(ctx, one.Slug, nil)
	pause(ctx, thinking)
	if err != nil || page.JSON200 == nil {
		return nil, refusal(err, func() *client.Problem { return page.ApplicationProblemJSONDefault })
	}
	return page.JSON200, nil
}

// buy goes the whole way: a product, a cart, a look at it, the checkout, a look at the
// order. Nobody pays, so the order expires after 15 minutes and the stock comes back.
func (s *shopper) buy(ctx context.Context, shop *client.Shop) error {
	product, err := s.page(ctx, shop)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(product.Variants, func(v client.Variant) bool { return v.Available > 1 })
	if at < 0 {
		return errNothing
	}
	items := []client.ItemInput{{VariantID: product.Variants[at].ID, Quantity: 1 + rand.IntN(2)}}
	opened, err := shop.CreateCartWithResponse(ctx, client.NewCart{Items: &items})
	if err != nil || opened.JSON201 == nil {
		return refusal(err, func() *client.Problem { return opened.ApplicationProblemJSONDefault })
	}
	shop.SetShopper(*opened.JSON201.ShopperToken)
	if _, err := shop.GetCartWithResponse(ctx, opened.JSON201.ID); err != nil {
		return err
	}
	pause(ctx, thinking)
	return s.checkout(ctx, shop, opened.JSON201.ID)
}

// checkout asks again under the same key until the outcome is known, which the session
// does, and then looks at the order.
func (s *shopper) checkout(ctx context.Context, shop *client.Shop, cart client.ID) error {
	params := &client.CheckoutParams{IdempotencyKey: id.New().String()}
	ordered, err := shop.CheckoutWithResponse(ctx, cart, params, client.Checkout{
		Email:           "ada@example.com",
		ShippingAddress: client.AddressInput{Name: "Ada", Line1: "1 Main St", City: "London", PostalCode: "N1", Country: "GB"},
	})
	if err != nil || ordered.JSON201 == nil {
		return refusal(err, func() *client.Problem { return ordered.ApplicationProblemJSONDefault })
	}
	s.load.orders.Add(1)
	_, err = shop.GetOrderWithResponse(ctx, ordered.JSON201.ID, nil)
	pause(ctx, thinking)
	return err
}

var (
	errNothing = errors.New("lab: nothing to buy")
	errAnswer  = errors.New("lab: no answer of the shop")
)

// refusal is why there is no answer: err, the problem that came instead, or something
// that the contract does not know, from a proxy for instance.
func refusal(err error, problem func() *client.Problem) error {
	if err != nil {
		return err
	}
	if p := problem(); p != nil {
		return p
	}
	return errAnswer
}
