package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// Import is a whole catalog, ready to be loaded: every id is set, and every
// category that a product or a category refers to comes with it, also one that
// the database already has, which is then found by its slug.
type Import struct {
	Categories []ImportCategory
	Products   []ImportProduct
}

// ImportCategory has the zero Parent if it is a root.
type ImportCategory struct {
	ID, Parent id.ID
	Slug, Name string
	Position   int
}

// ImportProduct needs at least one variant to be listed. A zero CreatedAt
// becomes the time of the load.
type ImportProduct struct {
	ID, Category            id.ID
	Slug, Name, Description string
	Options                 []Option
	Popularity              int
	CreatedAt               time.Time
	Variants                []ImportVariant
}

// ImportVariant has its price in minor units.
type ImportVariant struct {
	ID      id.ID
	SKU     string
	Options map[string]string
	Price   int64
	Stock   int
	// Source is where it was read, such as "catalog.csv:7", for errors; "" is nowhere.
	Source string
}

// LoadOptions is how Load behaves; the zero value refuses a catalog that has
// products and reports nothing.
type LoadOptions struct {
	// Add loads into a catalog that has products. Categories that it has, by
	// slug, are kept as they are and used.
	Add bool
	// Progress is called after each batch with the rows written so far, products
	// and variants, and their total. It starts again if the transaction does.
	Progress func(done, total int)
}

// ErrTaken is a slug, SKU or id that the catalog already has.
var ErrTaken = errors.New("already in the catalog")

// maxClashes is how many of them one error names.
const maxClashes = 20

// loadBatch products go into one COPY: what is in memory at a time, and how often
// progress is told.
const loadBatch = 2000

// Load writes the whole import in one transaction, or nothing: readers see no
// half of a catalog. 20,000 products of 3 variants take about 8 s, 200,000 about 70. Errors
// include ErrNotEmpty, ErrTaken and those of db.Write.
func (s *Store) Load(ctx context.Context, in Import, options LoadOptions) error {
	if err := in.complete(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		if err := q.AllowLongStatements(ctx); err != nil {
			return fmt.Errorf("allow long statements: %w", err)
		}
		if !options.Add {
			found, err := q.AnyProduct(ctx)
			if err != nil {
				return fmt.Errorf("look for products: %w", err)
			}
			if found {
				return fmt.Errorf("%w: ask to add to them, or load into an empty database", ErrNotEmpty)
			}
		} else if err := clashes(ctx, q, in.Products); err != nil {
			return err
		}
		known, err := loadCategories(ctx, q, in.Categories)
		if err != nil {
			return err
		}
		if err := loadProducts(ctx, q, in.Products, known, options.Progress); err != nil {
			return err
		}
		return q.AnalyzeCatalog(ctx)
	})
}

// complete names the first reference that leads out of the import. The foreign
// keys would refuse it as well, in the middle of the load and without a name.
func (in Import) complete() error {
	known := make(map[id.ID]bool, len(in.Categories))
	for _, c := range in.Categories {
		known[c.ID] = true
	}
	for _, c := range in.Categories {
		if !c.Parent.IsZero() && !known[c.Parent] {
			return fmt.Errorf("category %s: its parent is not in the import", c.Slug)
		}
	}
	for _, p := range in.Products {
		if !known[p.Category] {
			return fmt.Errorf("product %s: its category is not in the import", p.Slug)
		}
	}
	return nil
}

// clashes names what the catalog has already, and where it was read. A constraint would
// refuse it as well, with the first one only and in the server's words.
func clashes(ctx context.Context, q *writeq.Queries, all []ImportProduct) error {
	var errs []error
	for batch := range slices.Chunk(all, loadBatch) {
		var slugs, skus []string
		for _, p := range batch {
			slugs = append(slugs, p.Slug)
			for _, v := range p.Variants {
				skus = append(skus, v.SKU)
			}
		}
		takenSlugs, err := q.TakenSlugs(ctx, slugs)
		if err != nil {
			return fmt.Errorf("look for slugs: %w", err)
		}
		takenSKUs, err := q.TakenSKUs(ctx, skus)
		if err != nil {
			return fmt.Errorf("look for SKUs: %w", err)
		}
		for _, p := range batch {
			if errs = append(errs, p.clashes(takenSlugs, takenSKUs)...); len(errs) >= maxClashes {
				return errors.Join(errs[:maxClashes]...)
			}
		}
	}
	return errors.Join(errs...)
}

func (p ImportProduct) clashes(slugs, skus []string) (errs []error) {
	clash := func(v ImportVariant, what, name string) {
		err := fmt.Errorf("%s %q is %w", what, name, ErrTaken)
		if v.Source != "" {
			err = fmt.Errorf("%s: %w", v.Source, err)
		}
		errs = append(errs, err)
	}
	for i, v := range p.Variants {
		if i == 0 && slices.Contains(slugs, p.Slug) {
			clash(v, "product_slug", p.Slug)
		}
		if slices.Contains(skus, v.SKU) {
			clash(v, "SKU", v.SKU)
		}
	}
	return errs
}

// loadCategories returns the id under which each category of the import stands
// in the database.
func loadCategories(ctx context.Context, q *writeq.Queries, all []ImportCategory) (map[id.ID]id.ID, error) {
	rows, err := q.CategoryIDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read categories: %w", err)
	}
	bySlug := make(map[string]id.ID, len(rows))
	for _, r := range rows {
		bySlug[r.Slug] = r.ID
	}
	stands := make(map[id.ID]id.ID, len(all))
	for _, c := range all {
		stands[c.ID] = c.ID
		if existing, ok := bySlug[c.Slug]; ok {
			stands[c.ID] = existing
		}
	}
	var missing []writeq.CopyCategoriesParams
	for _, c := range all {
		if stands[c.ID] != c.ID {
			continue
		}
		row := writeq.CopyCategoriesParams{ID: c.ID, Slug: c.Slug, Name: c.Name, Position: int32(c.Position)}
		if parent := stands[c.Parent]; !c.Parent.IsZero() {
			row.ParentID = &parent
		}
		missing = append(missing, row)
	}
	if _, err := q.CopyCategories(ctx, missing); err != nil {
		return nil, fmt.Errorf("copy categories: %w", taken(err))
	}
	return stands, nil
}

func loadProducts(
	ctx context.Context, q *writeq.Queries, all []ImportProduct, categories map[id.ID]id.ID, progress func(int, int),
) error {
	total := len(all)
	for _, p := range all {
		total += len(p.Variants)
	}
	now, done, analyzed := time.Now(), 0, 0
	for batch := range slices.Chunk(all, loadBatch) {
		rows, err := copyRows(batch, categories, now)
		if err != nil {
			return err
		}
		if err := rows.write(ctx, q); err != nil {
			return err
		}
		// The triggers and foreign keys of the next batch are planned for what the tables
		// hold by now. From the first time on this also keeps autovacuum out, which sees
		// nothing of it and would have them planned for empty tables.
		if done += len(rows.products) + len(rows.variants); done >= 2*analyzed {
			if err := q.AnalyzeCatalog(ctx); err != nil {
				return fmt.Errorf("analyze: %w", err)
			}
			analyzed = done
		}
		if progress != nil {
			progress(done, total)
		}
	}
	return nil
}

type copies struct {
	products  []writeq.CopyProductsParams
	variants  []writeq.CopyVariantsParams
	movements []writeq.CopyStockMovementsParams
}

func (c copies) write(ctx context.Context, q *writeq.Queries) error {
	if _, err := q.CopyProducts(ctx, c.products); err != nil {
		return fmt.Errorf("copy products: %w", taken(err))
	}
	if _, err := q.CopyVariants(ctx, c.variants); err != nil {
		return fmt.Errorf("copy variants: %w", taken(err))
	}
	if _, err := q.CopyStockMovements(ctx, c.movements); err != nil {
		return fmt.Errorf("copy stock movements: %w", err)
	}
	return nil
}

func copyRows(batch []ImportProduct, categories map[id.ID]id.ID, now time.Time) (c copies, err error) {
	for _, p := range batch {
		if p.CreatedAt.IsZero() {
			p.CreatedAt = now
		}
		row := summarize(p.Variants)
		row.ID, row.CategoryID, row.Slug, row.Name = p.ID, categories[p.Category], p.Slug, p.Name
		row.Description, row.Popularity = p.Description, int32(p.Popularity)
		row.CreatedAt, row.UpdatedAt = p.CreatedAt, p.CreatedAt
		if row.Options, err = json.Marshal(append([]Option{}, p.Options...)); err != nil {
			return c, fmt.Errorf("options of %s: %w", p.Slug, err)
		}
		c.products = append(c.products, row)
		for i, v := range p.Variants {
			options, err := json.Marshal(nonNil(v.Options))
			if err != nil {
				return c, fmt.Errorf("options of %s: %w", v.SKU, err)
			}
			c.variants = append(c.variants, writeq.CopyVariantsParams{
				ID: v.ID, ProductID: p.ID, Sku: v.SKU, Options: options, Price: v.Price,
				StockQuantity: int32(v.Stock), Position: int32(i), CreatedAt: p.CreatedAt, UpdatedAt: p.CreatedAt,
			})
			c.movements = append(c.movements, writeq.CopyStockMovementsParams{
				ID: id.New(), VariantID: v.ID, Kind: "initial", Delta: int32(v.Stock), After: int32(v.Stock), Reason: "import",
			})
		}
	}
	return c, nil
}

// nonNil is for a variant without options: JSON null is no object.
func nonNil(options map[string]string) map[string]string {
	if options == nil {
		return map[string]string{}
	}
	return options
}

// summarize computes what keep_product_summaries in migrations would. Where
// they differ, the trigger has the last word and the load is only slower; tags
// in an order that is not the database's are such a case.
func summarize(variants []ImportVariant) writeq.CopyProductsParams {
	row := writeq.CopyProductsParams{OptionTags: []string{}}
	for _, v := range variants {
		if row.PriceMin == nil || v.Price < *row.PriceMin {
			row.PriceMin = &v.Price
		}
		if row.PriceMax == nil || v.Price > *row.PriceMax {
			row.PriceMax = &v.Price
		}
		row.InStock = row.InStock || v.Stock > 0
		for name, value := range v.Options {
			row.OptionTags = append(row.OptionTags, OptionTag(name, value))
		}
	}
	slices.Sort(row.OptionTags)
	row.OptionTags = slices.Compact(row.OptionTags)
	return row
}

// taken names the duplicate for the person who loads: an import is no request
// of a stranger, so the row's values may be told.
func taken(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch pg.ConstraintName {
	case "products_slug_key", "products_pkey", "variants_sku_key", "variants_pkey", "categories_slug_key", "categories_pkey":
		return fmt.Errorf("%w: %s", ErrTaken, pg.Detail)
	}
	return err
}
