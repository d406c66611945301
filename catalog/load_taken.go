package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/writeq"
)

// ErrTaken is a slug, SKU or id that the catalog already has.
var ErrTaken = errors.New("already in the catalog")

// maxClashes is how many of them one error names.
const maxClashes = 20

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
