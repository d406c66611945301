package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

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
