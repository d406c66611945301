package catalog

import (
	"context"
	"fmt"

	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

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

func categoryOf(r writeq.LockCategoryRow) AdminCategory {
	return AdminCategory{
		ID: r.ID, Slug: r.Slug, Name: r.Name, ParentID: r.ParentID, Position: r.Position,
		Version: r.Revision, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}
