package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// The order of locks is the one of a sale and its triggers: variants, then the
// product, then the category. See keep_product_summaries in migrations.

// locked judges what a locking SELECT by an id came back with.
func locked(err error, at Ref, revision int64) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("lock %s: %w", at.ID, err)
	case !at.matches(revision):
		return ErrStale
	}
	return nil
}

// CreateProduct makes a product without variants. Errors: ErrSlugTaken,
// ErrUnknownCategory.
func (s *Store) CreateProduct(ctx context.Context, change ProductChange) (p AdminProduct, err error) {
	p = AdminProduct{ID: id.New(), Options: []Option{}, Status: Draft}
	change.apply(&p)
	options, err := json.Marshal(p.Options)
	if err != nil {
		return AdminProduct{}, fmt.Errorf("options: %w", err)
	}
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		row, err := q.CreateProduct(ctx, writeq.CreateProductParams{
			ID: p.ID, CategoryID: p.CategoryID, Slug: p.Slug, Name: p.Name,
			Description: p.Description, Options: options, Status: string(p.Status),
		})
		if err != nil {
			return fmt.Errorf("create product: %w", refusal(err))
		}
		p, err = s.adminProduct(readq.AdminProductRow(row), nil)
		return err
	})
	return p, err
}

// AdminProduct reads a product of any status. Errors: ErrNotFound.
func (s *Store) AdminProduct(ctx context.Context, product id.ID) (p AdminProduct, err error) {
	err = s.db.Snapshot(ctx, s.config.Admin, func(ctx context.Context, q *readq.Queries) error {
		row, err := q.AdminProduct(ctx, product)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return fmt.Errorf("read product: %w", err)
		}
		variants, err := q.AdminVariants(ctx, product)
		if err != nil {
			return fmt.Errorf("read variants: %w", err)
		}
		p, err = s.adminProduct(row, variants)
		return err
	})
	return p, err
}

// ChangeProduct edits a product. Errors: ErrNotFound, ErrStale, ErrSlugTaken,
// ErrUnknownCategory, ErrOptionsInUse.
func (s *Store) ChangeProduct(ctx context.Context, at Ref, change ProductChange) (p AdminProduct, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) (err error) {
		p, err = s.changeProductTx(ctx, q, at, change)
		return err
	})
	return p, err
}

func (s *Store) changeProductTx(ctx context.Context, q *writeq.Queries, at Ref, change ProductChange) (AdminProduct, error) {
	current, err := q.LockProduct(ctx, at.ID)
	if err := locked(err, at, current.Revision); err != nil {
		return AdminProduct{}, err
	}
	variants, err := adminVariantsTx(ctx, q, at.ID)
	if err != nil {
		return AdminProduct{}, err
	}
	p, err := s.adminProduct(readq.AdminProductRow(current), variants)
	if err != nil {
		return AdminProduct{}, err
	}
	change.apply(&p)
	for _, v := range p.Variants {
		if !fits(v.Options, p.Options) {
			return AdminProduct{}, ErrOptionsInUse
		}
	}
	options, err := json.Marshal(p.Options)
	if err != nil {
		return AdminProduct{}, fmt.Errorf("options: %w", err)
	}
	row, err := q.UpdateProduct(ctx, writeq.UpdateProductParams{
		ID: p.ID, CategoryID: p.CategoryID, Slug: p.Slug, Name: p.Name,
		Description: p.Description, Options: options, Status: string(p.Status),
	})
	if err != nil {
		return AdminProduct{}, fmt.Errorf("update product: %w", refusal(err))
	}
	return s.adminProduct(readq.AdminProductRow(row), variants)
}

func adminVariantsTx(ctx context.Context, q *writeq.Queries, product id.ID) ([]readq.AdminVariantsRow, error) {
	rows, err := q.AdminVariants(ctx, product)
	if err != nil {
		return nil, fmt.Errorf("read variants: %w", err)
	}
	same := make([]readq.AdminVariantsRow, len(rows))
	for i, row := range rows {
		same[i] = readq.AdminVariantsRow(row)
	}
	return same, nil
}

// ArchiveProduct takes a product off the list for good, or until somebody changes
// its status again. Errors: ErrNotFound, ErrStale.
func (s *Store) ArchiveProduct(ctx context.Context, at Ref) error {
	archived := Archived
	_, err := s.ChangeProduct(ctx, at, ProductChange{Status: &archived})
	return err
}

// CreateVariant makes a variant without stock. Errors: ErrNotFound (the product),
// ErrSKUTaken, ErrOptionsTaken, ErrForeignOptions.
func (s *Store) CreateVariant(ctx context.Context, product id.ID, change VariantChange) (v AdminVariant, err error) {
	v = AdminVariant{ID: id.New(), ProductID: product, Options: map[string]string{}, Active: true}
	change.apply(&v)
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		options, err := fitTx(ctx, q, v)
		if err != nil {
			return err
		}
		row, err := q.CreateVariant(ctx, writeq.CreateVariantParams{
			ID: v.ID, ProductID: product, Sku: v.SKU, Options: options, Price: v.Price.Amount, Active: v.Active,
		})
		if err != nil {
			return fmt.Errorf("create variant: %w", refusal(err))
		}
		v, err = s.adminVariant(readq.AdminVariantsRow(row))
		return err
	})
	return v, err
}

// ChangeVariant edits a variant. Errors: ErrNotFound, ErrStale, ErrSKUTaken,
// ErrOptionsTaken, ErrForeignOptions.
func (s *Store) ChangeVariant(ctx context.Context, at Ref, change VariantChange) (v AdminVariant, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		current, err := q.LockVariant(ctx, at.ID)
		if err := locked(err, at, current.Revision); err != nil {
			return err
		}
		if v, err = s.adminVariant(readq.AdminVariantsRow(current)); err != nil {
			return err
		}
		change.apply(&v)
		options, err := fitTx(ctx, q, v)
		if err != nil {
			return err
		}
		row, err := q.UpdateVariant(ctx, writeq.UpdateVariantParams{
			ID: v.ID, Sku: v.SKU, Options: options, Price: v.Price.Amount, Active: v.Active,
		})
		if err != nil {
			return fmt.Errorf("update variant: %w", refusal(err))
		}
		v, err = s.adminVariant(readq.AdminVariantsRow(row))
		return err
	})
	return v, err
}

// fitTx makes sure that the variant's options are of its product's, until the
// transaction ends, and returns them as they are stored.
func fitTx(ctx context.Context, q *writeq.Queries, v AdminVariant) ([]byte, error) {
	stored, err := q.LockProductOptions(ctx, v.ProductID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("lock product: %w", err)
	}
	var product []Option
	if err := json.Unmarshal(stored, &product); err != nil {
		return nil, fmt.Errorf("options of product %s: %w", v.ProductID, err)
	}
	if !fits(v.Options, product) {
		return nil, ErrForeignOptions
	}
	return json.Marshal(v.Options)
}

func (s *Store) adminProduct(r readq.AdminProductRow, variants []readq.AdminVariantsRow) (AdminProduct, error) {
	p := AdminProduct{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Description: r.Description, CategoryID: r.CategoryID,
		Status: Status(r.Status), Listed: r.Listed, Variants: make([]AdminVariant, len(variants)),
		Version: r.Revision, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if err := json.Unmarshal(r.Options, &p.Options); err != nil {
		return AdminProduct{}, fmt.Errorf("options of product %s: %w", r.ID, err)
	}
	for i, v := range variants {
		var err error
		if p.Variants[i], err = s.adminVariant(v); err != nil {
			return AdminProduct{}, err
		}
	}
	return p, nil
}

func (s *Store) adminVariant(r readq.AdminVariantsRow) (AdminVariant, error) {
	v := AdminVariant{
		ID: r.ID, ProductID: r.ProductID, SKU: r.Sku, Price: s.money(r.Price), Active: r.Active,
		StockQuantity: int(r.StockQuantity), Version: r.Revision,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if err := json.Unmarshal(r.Options, &v.Options); err != nil {
		return AdminVariant{}, fmt.Errorf("options of variant %s: %w", r.ID, err)
	}
	return v, nil
}

// refusals are what a constraint of the schema has to say, by its name.
var refusals = map[string]error{
	"categories_slug_key":             ErrSlugTaken,
	"categories_parent_id_fkey":       ErrUnknownParent, // it was deleted just now
	"products_slug_key":               ErrSlugTaken,
	"products_category_id_fkey":       ErrUnknownCategory,
	"variants_sku_key":                ErrSKUTaken,
	"variants_product_id_options_key": ErrOptionsTaken,
}

// refusal leaves the server's error out: its detail holds the row's values.
func refusal(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && refusals[pg.ConstraintName] != nil {
		return refusals[pg.ConstraintName]
	}
	return err
}
