// Package catalog is what the shop sells: categories, products and their
// variants, how shoppers browse and search them, and the stock that a checkout
// takes.
//
// Browsing reads from any replica within a staleness budget and says so when it
// cannot keep it; a product page goes to the primary instead. Neither promises
// that what was in stock a moment ago still is: only [ReserveTx] decides that,
// on the primary. Lists have no totals and no page numbers, since both cost a
// scan of everything that is not shown.
package catalog

import (
	"encoding/json"
	"errors"
	"time"

	"example.com/leeway/internal/id"
)

// Errors of the domain, for errors.Is.
var (
	ErrNotFound          = errors.New("catalog: no such thing")
	ErrInsufficientStock = errors.New("catalog: not enough stock")
	ErrNotEmpty          = errors.New("catalog: the catalog already has products")
)

// Money is an amount in minor units (cents) of the shop's one currency. The
// domain types below carry their JSON names because they are the wire shape; a
// type that is shown differently gets one of its own in wire.go.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// PriceRange spans the active variants of a product.
type PriceRange struct {
	Min Money `json:"min"`
	Max Money `json:"max"`
}

// CategoryRef names a category.
type CategoryRef struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// Category is a node of the tree.
type Category struct {
	ID   id.ID  `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	// Path is the names from the root to this node, joined with "/", to show.
	// It identifies nothing: a name may hold a "/" itself.
	Path     string `json:"path"`
	Position int    `json:"position"`
	// ProductCount includes the descendants, also those that a limited depth
	// cuts off.
	ProductCount int        `json:"product_count"`
	Children     []Category `json:"children"`
}

// CategoryDetail is one category and its place in the tree.
type CategoryDetail struct {
	Category
	Breadcrumbs []CategoryRef `json:"breadcrumbs"` // from the root to the parent
}

// Summary is what a list shows of a product.
type Summary struct {
	ID         id.ID       `json:"id"`
	Slug       string      `json:"slug"`
	Name       string      `json:"name"`
	PriceRange PriceRange  `json:"price_range"`
	InStock    bool        `json:"in_stock"`
	Category   CategoryRef `json:"category"`
	CreatedAt  time.Time   `json:"created_at"`
}

// Product is a listed product with its active variants.
type Product struct {
	Summary
	Description string          `json:"description"`
	Options     json.RawMessage `json:"options"` // of Option, as the database normalises it
	Variants    []Variant       `json:"variants"`
	Version     int64           `json:"version"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// Option is a way in which the variants of a product differ.
type Option struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Variant is what is bought.
type Variant struct {
	ID      id.ID           `json:"id"`
	SKU     string          `json:"sku"`
	Options json.RawMessage `json:"options"` // values by name, likewise
	Price   Money           `json:"price"`
	Stock
}

// Stock is what a shopper may know about the stock of a variant.
type Stock struct {
	Availability Availability `json:"availability"`
	// Available is capped at 99: competitors read product pages too.
	Available int `json:"available"`
}

// Availability is stock in one word.
type Availability string

// Low means at most lowStock left.
const (
	InStock Availability = "in_stock"
	Low     Availability = "low"
	Out     Availability = "out"
)

// What a catalog may hold, for those who make one.
const (
	// MaxDepth is how many levels of the category tree are shown.
	MaxDepth = 10
	// MaxPrice is the dearest that a variant may be, in minor units: the CHECK of
	// variants.price.
	MaxPrice = 1_000_000_000_000
)

const (
	lowStock     = 5
	maxAvailable = 99
)

// StockOf describes a quantity. What may not be sold is out of stock, however
// much of it there is.
func StockOf(quantity int32, sellable bool) Stock {
	switch {
	case !sellable || quantity <= 0:
		return Stock{Out, 0}
	case quantity <= lowStock:
		return Stock{Low, int(quantity)}
	}
	return Stock{InStock, min(int(quantity), maxAvailable)}
}
