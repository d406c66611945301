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

// CreateCategory makes a category. Errors: ErrSlugTaken, ErrUnknownParent,
// ErrTooDeep.
func (s *Store) CreateCategory(ctx context.Context, change CategoryChange) (c AdminCategory, err error) {
	c.ID = id.New()
	change.apply(&c)
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		if c.ParentID != nil {
			if err := q.LockCategoryTree(ctx); err != nil {
				return fmt.Errorf("lock the category tree: %w", err)
			}
			if err := hangTx(ctx, q, c.ID, *c.ParentID); err != nil {
				return err
			}
		}
		row, err := q.CreateCategory(ctx, writeq.CreateCategoryParams{
			ID: c.ID, ParentID: c.ParentID, Slug: c.Slug, Name: c.Name, Position: c.Position,
		})
		if err != nil {
			return fmt.Errorf("create category: %w", refusal(err))
		}
		c = categoryOf(writeq.LockCategoryRow(row))
		return nil
	})
	return c, err
}

// ChangeCategory edits a category. Errors: ErrNotFound, ErrStale, ErrSlugTaken,
// ErrUnknownParent, ErrCategoryCycle, ErrTooDeep.
func (s *Store) ChangeCategory(ctx context.Context, at Ref, change CategoryChange) (c AdminCategory, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		if change.ParentID != nil { // before the row: others hold this lock and want rows
			if err := q.LockCategoryTree(ctx); err != nil {
				return fmt.Errorf("lock the category tree: %w", err)
			}
		}
		if c, err = lockCategoryTx(ctx, q, at); err != nil {
			return err
		}
		change.apply(&c)
		if change.ParentID != nil {
			if err := hangTx(ctx, q, c.ID, *c.ParentID); err != nil {
				return err
			}
		}
		row, err := q.UpdateCategory(ctx, writeq.UpdateCategoryParams{
			ID: c.ID, ParentID: c.ParentID, Slug: c.Slug, Name: c.Name, Position: c.Position,
		})
		if err != nil {
			return fmt.Errorf("update category: %w", refusal(err))
		}
		c = categoryOf(writeq.LockCategoryRow(row))
		return nil
	})
	return c, err
}

// DeleteCategory removes a category that holds neither categories nor products,
// archived ones included. Errors: ErrNotFound, ErrStale, ErrCategoryNotEmpty.
func (s *Store) DeleteCategory(ctx context.Context, at Ref) error {
	return s.db.Write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		if _, err := lockCategoryTx(ctx, q, at); err != nil {
			return err
		}
		// A foreign key needs a share of the locked row, so none comes in from here on.
		used, err := q.CategoryInUse(ctx, at.ID)
		switch {
		case err != nil:
			return fmt.Errorf("look into category: %w", err)
		case used:
			return ErrCategoryNotEmpty
		}
		return q.DeleteCategory(ctx, at.ID)
	})
}

// hangTx decides whether a category may be below parent. The tree must be locked.
func hangTx(ctx context.Context, q *writeq.Queries, category, parent id.ID) error {
	rows, err := q.CategoryParents(ctx)
	if err != nil {
		return fmt.Errorf("read the category tree: %w", err)
	}
	tree := make(parents, len(rows))
	for _, r := range rows {
		tree[r.ID] = id.ID{}
		if r.ParentID != nil {
			tree[r.ID] = *r.ParentID
		}
	}
	return tree.mayHang(category, parent)
}

func lockCategoryTx(ctx context.Context, q *writeq.Queries, at Ref) (AdminCategory, error) {
	row, err := q.LockCategory(ctx, at.ID)
	if err := locked(err, at, row.Revision); err != nil {
		return AdminCategory{}, err
	}
	return categoryOf(row), nil
}

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

// AdjustTx changes the stock of a variant in the caller's transaction and writes
// the ledger. The row stays locked until the commit is durable, and every buyer
// waits for that, as in ReserveTx. Errors: ErrNotFound, a *StockConflictError, a
// *ShortageError with the whole stock, ErrStockTooLarge.
func AdjustTx(ctx context.Context, q *writeq.Queries, a Adjustment) (Movement, error) {
	rows, err := q.LockVariants(ctx, []id.ID{a.VariantID})
	switch {
	case err != nil:
		return Movement{}, fmt.Errorf("lock variant: %w", err)
	case len(rows) == 0:
		return Movement{}, ErrNotFound
	}
	if err := a.check(int(rows[0].StockQuantity)); err != nil {
		return Movement{}, err
	}
	row, err := q.AdjustStock(ctx, writeq.AdjustStockParams{
		ID: id.New(), VariantID: a.VariantID, Delta: int32(a.Delta), Reason: a.Reason,
	})
	if err != nil {
		return Movement{}, fmt.Errorf("adjust stock: %w", err)
	}
	return movementOf(a.VariantID, readq.StockMovementsRow(row)), nil
}

// Movements returns a page of a variant's ledger, the last movement first, and the
// cursor of the next one, which is "" on the last. Errors: ErrNotFound,
// web.InvalidCursor.
func (s *Store) Movements(ctx context.Context, variant id.ID, limit int, cursor string) ([]Movement, string, error) {
	before, err := resumeLedger(ctx, cursor, variant)
	if err != nil {
		return nil, "", err
	}
	q := s.db.Read(s.config.Admin)
	// One row more than asked for tells whether there is a next page.
	rows, err := q.StockMovements(ctx, readq.StockMovementsParams{
		VariantID: variant, BeforeSeq: before, MaxRows: int32(limit) + 1,
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the ledger: %w", err)
	}
	if len(rows) == 0 { // only an empty page asks
		known, err := q.VariantKnown(ctx, variant)
		if err == nil && !known {
			err = ErrNotFound
		}
		return nil, "", err
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = ledgerCursor(ctx, variant, rows[limit-1].Seq)
	}
	page := make([]Movement, len(rows))
	for i, r := range rows {
		page[i] = movementOf(variant, r)
	}
	return page, next, nil
}

func categoryOf(r writeq.LockCategoryRow) AdminCategory {
	return AdminCategory{
		ID: r.ID, Slug: r.Slug, Name: r.Name, ParentID: r.ParentID, Position: r.Position,
		Version: r.Revision, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
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

func movementOf(variant id.ID, r readq.StockMovementsRow) Movement {
	return Movement{
		ID: r.ID, VariantID: variant, Kind: MovementKind(r.Kind), Delta: int(r.Delta),
		Before: int(r.Before), After: int(r.After), Reason: r.Reason, OrderID: r.OrderID, CreatedAt: r.CreatedAt.UTC(),
	}
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
