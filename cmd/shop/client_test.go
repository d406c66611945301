package main

import (
	"testing"
	"time"

	"example.com/leeway/api/client"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// A shopper with the typed client, while no replica replays: the session's token
// brings each read to where the write was.
func TestTheTypedClientReadsItsOwnWrites(t *testing.T) {
	s := newShop(t)
	s.CatchUp(t)
	s.Pause(t)
	ctx := t.Context()
	shop, err := client.New(s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := shop.GetProductWithResponse(ctx, s.slug, nil)
	if err != nil || page.JSON200 == nil {
		t.Fatalf("product: %v %v", err, page)
	}
	variant := page.JSON200.Variants[0].ID
	opened, err := shop.CreateCartWithResponse(ctx, client.NewCart{})
	if err != nil || opened.JSON201 == nil {
		t.Fatalf("open a cart: %v %v", err, opened)
	}
	shop.SetShopper(*opened.JSON201.ShopperToken)
	cart := opened.JSON201.ID
	added, err := shop.AddCartItemWithResponse(ctx, cart, nil, client.ItemInput{VariantID: variant, Quantity: 1})
	if err != nil || added.JSON200 == nil {
		t.Fatalf("add: %v %v", err, added)
	}
	read, err := shop.GetCartWithResponse(ctx, cart)
	if err != nil || read.JSON200 == nil {
		t.Fatalf("read: %v %v", err, read)
	}
	if len(read.JSON200.Items) != 1 || read.HTTPResponse.Header.Get("Data-Source") != "primary;reason=token" {
		t.Errorf("%d lines from %q, want the one that was added from primary;reason=token",
			len(read.JSON200.Items), read.HTTPResponse.Header.Get("Data-Source"))
	}
	twice := client.Checkout{Email: "ada@" + canaryHome + ".example", ExpectedTotal: &client.MoneyInput{Amount: 1, Currency: "EUR"}, ShippingAddress: london}
	refused, err := shop.CheckoutWithResponse(ctx, cart, &client.CheckoutParams{IdempotencyKey: "client-1"}, twice)
	if err != nil || refused.ApplicationProblemJSONDefault == nil {
		t.Fatalf("checkout: %v %v", err, refused)
	}
	problem := refused.ApplicationProblemJSONDefault
	if problem.Code != "price_changed" || problem.Total == nil || problem.Total.Amount != read.JSON200.Subtotal.Amount {
		t.Errorf("got %v, want price_changed with the total", problem)
	}
}

var london = client.AddressInput{Name: canaryHome, Line1: "1 " + canaryHome + " St", City: "London", PostalCode: "N1", Country: "GB"}

// No standby confirms the checkout, so its outcome is unknown. The client asks again
// with the same key until it is known, and there is one order.
func TestTheTypedClientResolvesADoubt(t *testing.T) {
	s := newShop(t, func(c *serveCmd) { c.RequestTimeout = 500 * time.Millisecond })
	ctx := t.Context()
	shop, err := client.New(s.url, &client.Session{Tries: 20})
	if err != nil {
		t.Fatal(err)
	}
	variant, err := id.Parse(s.variant)
	if err != nil {
		t.Fatal(err)
	}
	items := []client.ItemInput{{VariantID: client.ID(variant), Quantity: 1}}
	opened, err := shop.CreateCartWithResponse(ctx, client.NewCart{Items: &items})
	if err != nil || opened.JSON201 == nil {
		t.Fatalf("open a cart: %v %v", err, opened)
	}
	shop.SetShopper(*opened.JSON201.ShopperToken)
	for _, n := range s.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, n.Freeze)
	}
	type result struct {
		response *client.CheckoutResponse
		err      error
	}
	done := make(chan result)
	go func() {
		form := client.Checkout{Email: "ada@" + canaryHome + ".example", ShippingAddress: london}
		response, err := shop.CheckoutWithResponse(ctx, opened.JSON201.ID, &client.CheckoutParams{IdempotencyKey: "doubt"}, form)
		done <- result{response, err}
	}()
	observer := s.Admin(t, s.Primary())
	dbtest.Eventually(t, "the checkout is in doubt, and no other is taken", func() bool {
		var waits bool
		err := observer.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database())").Scan(&waits)
		return err == nil && waits && !s.router.Status().Writable
	})
	for _, n := range s.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	got := <-done
	if got.err != nil || got.response.JSON201 == nil {
		t.Fatalf("checkout: %v %s", got.err, got.response.Body)
	}
	if got.response.HTTPResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the answer is not a replay: the fault was not there")
	}
	orders, err := shop.ListOrdersWithResponse(ctx, nil)
	if err != nil || orders.JSON200 == nil || len(orders.JSON200.Data) != 1 || orders.JSON200.Data[0].ID != got.response.JSON201.ID {
		t.Errorf("orders: %v %v, want the one", err, orders)
	}
}
