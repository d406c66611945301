package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/leeway/api/client"
)

// A shopper opens a cart and reads it back. The session remembers who they are and
// what they have done: the second request carries the token of the first answer.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(aShop)) // http://127.0.0.1:8080 after `make demo`
	defer server.Close()
	ctx := context.Background()

	shop, err := client.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := shop.CreateCartWithResponse(ctx, client.NewCart{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if problem := opened.ApplicationProblemJSONDefault; problem != nil {
		fmt.Println(problem.Code)
		return
	}
	shop.SetShopper(*opened.JSON201.ShopperToken)

	cart, err := shop.GetCartWithResponse(ctx, opened.JSON201.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cart.JSON200.Status, cart.JSON200.Subtotal.Amount, cart.JSON200.Subtotal.Currency)
	// Output: open 0 EUR
}

// aShop is as much of a shop as the example needs: it shows the cart only to the
// request that proves to come after the one that opened it.
func aShop(w http.ResponseWriter, r *http.Request) {
	const cart = `{"id":"0198c0de-3000-7000-8000-000000000001","status":"open","version":1,"items":[],"warnings":[],
		"subtotal":{"amount":0,"currency":"EUR"},"shopper_token":"secret"}`
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Consistency-Token", "position-1")
		w.WriteHeader(http.StatusCreated)
	case r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Consistency-Token") != "position-1":
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, cart)
}
