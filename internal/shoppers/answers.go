package shoppers

import (
	"encoding/json"

	"example.com/leeway/internal/checker"
)

// What is read of the shop's answers, as its clients see them.

type money struct {
	Amount int64 `json:"amount"`
}

type item struct {
	VariantID string `json:"variant_id"`
	Quantity  int    `json:"quantity"`
	UnitPrice money  `json:"unit_price"`
}

type cartAnswer struct {
	ID           string `json:"id"`
	Version      int64  `json:"version"`
	Status       string `json:"status"`
	Items        []item `json:"items"`
	Subtotal     money  `json:"subtotal"`
	ShopperToken string `json:"shopper_token"`
}

type orderAnswer struct {
	ID      string `json:"id"`
	Number  string `json:"number"`
	Version int64  `json:"version"`
	Totals  struct {
		Total money `json:"total"`
	} `json:"totals"`
	Items []item `json:"items"`
}

type orderList struct {
	Data []orderAnswer `json:"data"`
	Page struct {
		NextCursor *string `json:"next_cursor"`
	} `json:"page"`
}

type problem struct {
	Code  string `json:"code"`
	Lines []struct {
		Requested int `json:"requested"`
		Available int `json:"available"`
	} `json:"lines"`
}

// decode leaves the zero value of what cannot be read; the checker then misses
// what the answer should have held.
func decode[T any](body []byte) (v T) {
	_ = json.Unmarshal(body, &v)
	return v
}

func problemOf(body []byte, op *checker.Op) string {
	var p problem
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	if len(p.Lines) > 0 {
		op.Requested, op.Available = p.Lines[0].Requested, p.Lines[0].Available
	}
	return p.Code
}

// read takes in the body of a success.
func read(op *checker.Op, body []byte) (cart cartAnswer) {
	switch op.Kind {
	case checker.CreateCart, checker.AddItem, checker.SetItem, checker.ReadCart:
		cart = decode[cartAnswer](body)
		op.Cart, op.SeenCart = cart.ID, cart.seen()
	case checker.Checkout, checker.ReadOrder:
		order := decode[orderAnswer](body).seen()
		op.SeenOrder = &order
	case checker.ListOrders:
		list := decode[orderList](body)
		for _, order := range list.Data {
			op.SeenOrders = append(op.SeenOrders, order.seen())
		}
		op.Partial = list.Page.NextCursor != nil
	case checker.ReadProbe:
		op.SeenProbe = decode[struct {
			Version int64 `json:"version"`
		}](body).Version
	}
	return cart
}

func (a cartAnswer) seen() *checker.Cart {
	cart := &checker.Cart{
		ID: a.ID, Version: a.Version, Status: a.Status, Total: a.Subtotal.Amount,
		Lines: map[string]int{}, Prices: map[string]int64{},
	}
	for _, i := range a.Items {
		cart.Lines[i.VariantID], cart.Prices[i.VariantID] = i.Quantity, i.UnitPrice.Amount
	}
	return cart
}

func (a orderAnswer) seen() checker.Order {
	order := checker.Order{ID: a.ID, Number: a.Number, Version: a.Version, Total: a.Totals.Total.Amount}
	for _, i := range a.Items {
		order.Lines = append(order.Lines, checker.Line{Variant: i.VariantID, Quantity: i.Quantity, UnitPrice: i.UnitPrice.Amount})
	}
	return order
}
