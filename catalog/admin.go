package catalog

import (
	"errors"
	"slices"
	"time"

	"example.com/leeway/internal/id"
)

// What can stand in the way of a change. admin_http.go gives each its status.
var (
	ErrStale            = errors.New("catalog: another revision")
	ErrSlugTaken        = errors.New("catalog: the slug is taken")
	ErrSKUTaken         = errors.New("catalog: the SKU is taken")
	ErrOptionsTaken     = errors.New("catalog: another variant has the same options")
	ErrCategoryNotEmpty = errors.New("catalog: the category is not empty")
	ErrCategoryCycle    = errors.New("catalog: a category cannot be below itself")
	ErrTooDeep          = errors.New("catalog: too many levels")
	ErrUnknownParent    = errors.New("catalog: no such parent")
	ErrUnknownCategory  = errors.New("catalog: no such category")
	ErrForeignOptions   = errors.New("catalog: the product has no such options")
	ErrOptionsInUse     = errors.New("catalog: a variant has an option that would go")
	ErrStockConflict    = errors.New("catalog: the stock is not the expected one")
	ErrStockTooLarge    = errors.New("catalog: too much stock")
)

// Status decides who sees a product.
type Status string

// Shoppers see active products that have an active variant. Archived is what a
// deleted product becomes: orders and their lines still name its variants.
const (
	Draft    Status = "draft"
	Active   Status = "active"
	Archived Status = "archived"
)

// A Ref names the revision that somebody means to change; Version 0 is any.
type Ref struct {
	ID      id.ID
	Version int64
}

func (r Ref) matches(revision int64) bool { return r.Version == 0 || r.Version == revision }

// AdminCategory is a category as its editor sees it. Version counts the edits, and
// so it does in AdminProduct and AdminVariant: what a sale does to a product, or a
// product to the count of its category, spoils nobody's edit.
type AdminCategory struct {
	ID        id.ID     `json:"id"`
	Slug      string    `json:"slug"`
	Name      string    `json:"name"`
	ParentID  *id.ID    `json:"parent_id"` // nil is a root
	Position  int32     `json:"position"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// CategoryChange holds what is to change; nil stays as it is.
type CategoryChange struct {
	Slug     *string `json:"slug"`
	Name     *string `json:"name"`
	ParentID *id.ID  `json:"parent_id"`
	Position *int32  `json:"position"`
	ToRoot   bool    `json:"-"` // parent_id was null
}

func (c CategoryChange) apply(to *AdminCategory) {
	set(&to.Slug, c.Slug)
	set(&to.Name, c.Name)
	set(&to.Position, c.Position)
	if c.ParentID != nil || c.ToRoot {
		to.ParentID = c.ParentID
	}
}

// AdminProduct is a product as its editor sees it, with all of its variants.
type AdminProduct struct {
	ID          id.ID          `json:"id"`
	Slug        string         `json:"slug"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	CategoryID  id.ID          `json:"category_id"`
	Options     []Option       `json:"options"`
	Status      Status         `json:"status"`
	Listed      bool           `json:"listed"` // shoppers see it
	Variants    []AdminVariant `json:"variants"`
	Version     int64          `json:"version"`
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
}

// ProductChange holds what is to change; nil stays as it is.
type ProductChange struct {
	Slug        *string   `json:"slug"`
	Name        *string   `json:"name"`
	Description *string   `json:"description"`
	CategoryID  *id.ID    `json:"category_id"`
	Options     *[]Option `json:"options"`
	Status      *Status   `json:"status"`
}

func (c ProductChange) apply(to *AdminProduct) {
	set(&to.Slug, c.Slug)
	set(&to.Name, c.Name)
	set(&to.Description, c.Description)
	set(&to.CategoryID, c.CategoryID)
	set(&to.Options, c.Options)
	set(&to.Status, c.Status)
}

// AdminVariant is a variant as its editor sees it, with all of its stock.
type AdminVariant struct {
	ID            id.ID             `json:"id"`
	ProductID     id.ID             `json:"product_id"`
	SKU           string            `json:"sku"`
	Options       map[string]string `json:"options"`
	Price         Money             `json:"price"`
	Active        bool              `json:"active"`
	StockQuantity int               `json:"stock_quantity"`
	Version       int64             `json:"version"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
}

// VariantChange holds what is to change; nil stays as it is. Price is in minor
// units.
type VariantChange struct {
	SKU     *string
	Options *map[string]string
	Price   *int64
	Active  *bool
}

func (c VariantChange) apply(to *AdminVariant) {
	set(&to.SKU, c.SKU)
	set(&to.Options, c.Options)
	set(&to.Price.Amount, c.Price)
	set(&to.Active, c.Active)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// fits reports whether a variant's options are of those that its product has. It
// need not have all of them: a chair without arms has no colour of arms.
func fits(variant map[string]string, product []Option) bool {
	for name, value := range variant {
		i := slices.IndexFunc(product, func(o Option) bool { return o.Name == name })
		if i < 0 || !slices.Contains(product[i].Values, value) {
			return false
		}
	}
	return true
}

// MovementKind is why stock moved.
type MovementKind string

// Movement is a line of the ledger: what was there, what came or went, and what was
// left. The last one's After is the variant's stock.
type Movement struct {
	ID        id.ID        `json:"id"`
	VariantID id.ID        `json:"variant_id"`
	Kind      MovementKind `json:"kind"`
	Delta     int          `json:"delta"`
	Before    int          `json:"before"`
	After     int          `json:"after"`
	Reason    string       `json:"reason"`
	OrderID   *id.ID       `json:"order_id"` // nil unless an order took it or gave it back
	CreatedAt time.Time    `json:"created_at"`
}

// Adjustment is a change of stock that no order makes: a delivery, a count, a
// breakage.
type Adjustment struct {
	VariantID id.ID
	Delta     int
	Reason    string
	// Expected, if set, is the stock that the change was decided upon.
	Expected *int
}

// What an adjustment may do.
const (
	MaxDelta = 1_000_000
	MaxStock = 1_000_000_000
)

// StockConflictError is an ErrStockConflict that tells what is there.
type StockConflictError struct{ Stock int }

func (e *StockConflictError) Error() string { return ErrStockConflict.Error() }

// Unwrap makes it an ErrStockConflict.
func (e *StockConflictError) Unwrap() error { return ErrStockConflict }

// check decides about an adjustment of a variant that is locked.
func (a Adjustment) check(stock int) error {
	switch after := stock + a.Delta; {
	case a.Expected != nil && *a.Expected != stock:
		return &StockConflictError{stock}
	case after < 0:
		return &ShortageError{[]Shortage{{a.VariantID, -a.Delta, stock}}}
	case after > MaxStock:
		return ErrStockTooLarge
	}
	return nil
}

// parents is the category tree: each category's parent, the zero ID for a root.
type parents map[id.ID]id.ID

// mayHang decides whether a category may be below parent.
func (p parents) mayHang(category, parent id.ID) error {
	if _, known := p[parent]; !known {
		return ErrUnknownParent
	}
	depth := 0
	for at := parent; !at.IsZero(); at = p[at] {
		if at == category {
			return ErrCategoryCycle
		}
		if depth++; depth > len(p) {
			return ErrCategoryCycle // one that is there already, made by hand
		}
	}
	if depth+p.height(category) > MaxDepth {
		return ErrTooDeep
	}
	return nil
}

// height is the number of levels from the category down. One that is not there yet
// has its own.
func (p parents) height(category id.ID) int {
	height := 1
	for below := range p {
		levels := 1
		for at := below; at != category && !at.IsZero() && levels <= MaxDepth; at = p[at] {
			levels++
			if p[at] == category {
				height = max(height, levels)
			}
		}
	}
	return height
}
