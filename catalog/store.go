package catalog

import (
	"context"
	"fmt"
	"time"

	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/internal/id"
)

// The freshness of the catalog's reads, by default: the budgets of the shop
// that Leeway was ported from.
var (
	// Categories, lists, search: a page that is late and says so beats none.
	browse = fresh.Bounded(5 * time.Second).Else(fresh.ServeStale)
	// A product page shows the price that is about to be agreed on.
	productPage = fresh.Bounded(5 * time.Second)
	// Availability is asked about what was just put into a cart.
	availability = fresh.Session().Within(time.Second)
	// An editor must meet what they have just changed.
	backOffice = fresh.Session().Within(time.Second)
)

// Config is what may differ between shops.
type Config struct {
	// Currency is an ISO 4217 code. Amounts are never converted.
	Currency string
	Browse   fresh.Policy
	Product  fresh.Policy
	// Availability governs GET /v1/availability.
	Availability fresh.Policy
	// Admin governs what the back office reads.
	Admin fresh.Policy
	// Coalesce lets those who ask for the same page at the same time share one read.
	Coalesce bool
}

// DefaultConfig sells in euros.
func DefaultConfig() Config {
	return Config{
		Currency: "EUR", Browse: browse, Product: productPage, Availability: availability, Admin: backOffice,
		Coalesce: true,
	}
}

// Store reads and loads the catalog. It is safe for concurrent use.
type Store struct {
	db     *db.DB
	config Config
	pages  *fresh.Coalescer[page]
}

// New returns the catalog kept in db. The zero Policy in config is the
// strictest, so a field left out costs replicas and not freshness.
func New(d *db.DB, config Config) *Store {
	s := &Store{db: d, config: config}
	if config.Coalesce {
		s.pages = db.Coalescer[page](d)
	}
	return s
}

// Categories returns the roots of the tree with depth levels in all.
func (s *Store) Categories(ctx context.Context, depth int) ([]Category, error) {
	rows, err := s.db.Read(s.config.Browse.Shared()).Categories(ctx)
	if err != nil {
		return nil, fmt.Errorf("read categories: %w", err)
	}
	return newTree(rows).roots(depth), nil
}

// Category returns the category with its children, or ErrNotFound. It reads the
// whole tree as well: the counts of a node need its descendants.
func (s *Store) Category(ctx context.Context, slug string) (CategoryDetail, error) {
	rows, err := s.db.Read(s.config.Browse.Shared()).Categories(ctx)
	if err != nil {
		return CategoryDetail{}, fmt.Errorf("read categories: %w", err)
	}
	return newTree(rows).detail(slug)
}

// Product returns the listed product with this slug, or ErrNotFound.
func (s *Store) Product(ctx context.Context, slug string) (Product, error) {
	rows, err := s.db.Read(s.config.Product.Shared()).ProductBySlug(ctx, slug)
	if err != nil {
		return Product{}, fmt.Errorf("read product: %w", err)
	}
	if len(rows) == 0 {
		return Product{}, ErrNotFound
	}
	return s.product(rows), nil
}

// Availability answers in the order of ids. A variant that does not exist is
// out of stock: the difference is nobody's business here.
func (s *Store) Availability(ctx context.Context, ids []id.ID) ([]VariantStock, error) {
	rows, err := s.db.Read(s.config.Availability).VariantStock(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read availability: %w", err)
	}
	found := make(map[id.ID]readq.VariantStockRow, len(rows))
	for _, r := range rows {
		found[r.ID] = r
	}
	stocks := make([]VariantStock, len(ids))
	for i, variant := range ids {
		r := found[variant]
		stock := StockOf(r.StockQuantity, r.Sellable)
		stocks[i] = VariantStock{variant, stock.Availability, stock.Available}
	}
	return stocks, nil
}

// product gathers the rows of one product, one for each variant.
func (s *Store) product(rows []readq.ProductBySlugRow) Product {
	r := rows[0]
	p := Product{
		Summary: s.summary(listRow{
			ID: r.ID, Slug: r.Slug, Name: r.Name, PriceMin: r.PriceMin, PriceMax: r.PriceMax,
			InStock: r.InStock, CreatedAt: r.CreatedAt,
			CategorySlug: r.CategorySlug, CategoryName: r.CategoryName,
		}),
		Description: r.Description, Options: r.Options, Version: r.Version, UpdatedAt: r.UpdatedAt.UTC(),
		Variants: make([]Variant, len(rows)),
	}
	for i, r := range rows {
		p.Variants[i] = Variant{
			ID: r.VariantID, SKU: r.Sku, Options: r.VariantOptions,
			Price: s.money(r.Price), Stock: StockOf(r.StockQuantity, true),
		}
	}
	return p
}

// listRow is the row of every list. sqlc makes a type for each query, all of
// them alike, so they convert.
type listRow = readq.ProductsNewestRow

func (s *Store) summary(r listRow) Summary {
	return Summary{
		ID: r.ID, Slug: r.Slug, Name: r.Name,
		PriceRange: PriceRange{s.money(r.PriceMin), s.money(r.PriceMax)},
		InStock:    r.InStock,
		Category:   CategoryRef{r.CategorySlug, r.CategoryName},
		CreatedAt:  r.CreatedAt.UTC(),
	}
}

func (s *Store) money(amount int64) Money { return Money{amount, s.config.Currency} }
