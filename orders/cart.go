package orders

import (
	"fmt"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// What one cart may hold. Each line is a row that its checkout locks until the
// commit is on a standby, and that others wait for.
const (
	MaxLines    = 100
	MaxQuantity = 999 // the CHECK of cart_lines.quantity and order_lines.quantity
)

// Cart is a cart with the catalog's present prices and stock. Those change
// without it: Version counts the changes of the cart and its lines alone.
type Cart struct {
	ID       id.ID         `json:"id"`
	Status   string        `json:"status"` // open, ordered or expired
	Version  int64         `json:"version"`
	Items    []CartItem    `json:"items"`
	Subtotal catalog.Money `json:"subtotal"`
	Warnings []Warning     `json:"warnings"`
	// ShopperToken is set in the answer that made the shopper, and never again.
	ShopperToken string `json:"shopper_token,omitempty"`
}

// CartItem is one line. UnitPrice is the present price; PriceChanged says that
// it is not the one that the shopper last added or set the line at.
type CartItem struct {
	VariantID    id.ID         `json:"variant_id"`
	ProductSlug  string        `json:"product_slug"`
	Name         string        `json:"name"`
	Quantity     int           `json:"quantity"`
	UnitPrice    catalog.Money `json:"unit_price"`
	LineTotal    catalog.Money `json:"line_total"`
	PriceChanged bool          `json:"price_changed"`

	Availability catalog.Availability `json:"availability"`
}

// Warning is what would stop the checkout, or surprise the shopper, as things
// stand. Code is variant_unavailable, insufficient_stock or price_changed.
type Warning struct {
	Code      string `json:"code"`
	VariantID id.ID  `json:"variant_id"`
}

// ItemInput is a wish: so many of this variant.
type ItemInput struct {
	VariantID id.ID `json:"variant_id"`
	Quantity  int   `json:"quantity"`
}

// CartRef names a cart, who asks for it, and the version it must have; 0 is any.
type CartRef struct {
	ID      id.ID
	Shopper Shopper
	Version int64
}

// UnavailableError is ErrUnavailable with the variants that are unknown or not
// for sale.
type UnavailableError struct{ VariantIDs []id.ID }

func (e *UnavailableError) Error() string { return ErrUnavailable.Error() }

// Unwrap makes it an ErrUnavailable.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }

// line is a cart's line beside what the catalog says of its variant now.
type line struct {
	Item
	priceWhenAdded int64
	stock          int32
	sellable       bool
}

func newLine(item Item, currency string, price int64) (line, error) {
	sum, err := times(price, item.Quantity)
	if err != nil {
		return line{}, err
	}
	item.UnitPrice = catalog.Money{Amount: price, Currency: currency}
	item.LineTotal = catalog.Money{Amount: sum, Currency: currency}
	return line{Item: item}, nil
}

// total adds the lines up. Lines that are not for sale count too: the sum of
// what the shopper sees is what they see below it.
func total(lines []line, currency string) (catalog.Money, error) {
	var sum int64
	for _, l := range lines {
		var err error
		if sum, err = plus(sum, l.LineTotal.Amount); err != nil {
			return catalog.Money{}, err
		}
	}
	return catalog.Money{Amount: sum, Currency: currency}, nil
}

// fill adds the lines to a cart that has none.
func (c Cart) fill(lines []line, currency string) (Cart, error) {
	subtotal, err := total(lines, currency)
	if err != nil {
		return Cart{}, fmt.Errorf("cart %s: %w", c.ID, err)
	}
	c.Subtotal = subtotal
	c.Items, c.Warnings = make([]CartItem, 0, len(lines)), []Warning{}
	for _, l := range lines {
		c.Items = append(c.Items, CartItem{
			VariantID: l.VariantID, ProductSlug: l.ProductSlug, Name: l.Name, Quantity: l.Quantity,
			UnitPrice: l.UnitPrice, LineTotal: l.LineTotal,
			PriceChanged: l.priceChanged(), Availability: catalog.StockOf(l.stock, l.sellable).Availability,
		})
		c.Warnings = append(c.Warnings, l.warnings()...)
	}
	return c, nil
}

func (l line) priceChanged() bool { return l.UnitPrice.Amount != l.priceWhenAdded }

func (l line) warnings() (all []Warning) {
	switch {
	case !l.sellable:
		all = append(all, Warning{"variant_unavailable", l.VariantID})
	case int(l.stock) < l.Quantity:
		all = append(all, Warning{"insufficient_stock", l.VariantID})
	}
	if l.priceChanged() {
		all = append(all, Warning{"price_changed", l.VariantID})
	}
	return all
}

// merge makes one line of each variant, in the order of their first mention:
// asking twice for two is asking for four.
func merge(items []ItemInput) ([]ItemInput, error) {
	at := map[id.ID]int{}
	var merged []ItemInput
	for _, item := range items {
		i, seen := at[item.VariantID]
		if !seen {
			i = len(merged)
			at[item.VariantID] = i
			merged = append(merged, ItemInput{VariantID: item.VariantID})
		}
		if item.Quantity < 1 || item.Quantity > MaxQuantity-merged[i].Quantity {
			return nil, ErrQuantity
		}
		merged[i].Quantity += item.Quantity
	}
	return merged, nil
}
