package catalog

import (
	"context"
	"fmt"

	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

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

func movementOf(variant id.ID, r readq.StockMovementsRow) Movement {
	return Movement{
		ID: r.ID, VariantID: variant, Kind: MovementKind(r.Kind), Delta: int(r.Delta),
		Before: int(r.Before), After: int(r.After), Reason: r.Reason, OrderID: r.OrderID, CreatedAt: r.CreatedAt.UTC(),
	}
}
