package catalog

import (
	"context"
	"errors"
	"fmt"

	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// StockLine is how much of a variant an order takes.
type StockLine struct {
	VariantID id.ID
	Quantity  int
}

// ShortageError is an ErrInsufficientStock that tells which lines lack stock,
// in the order of the request.
type ShortageError struct{ Lines []Shortage }

// Shortage is a line that cannot be had. Available is 0 for a variant that is
// unknown or no longer for sale, and capped like [Stock].Available: a cart of 999
// would otherwise tell a competitor what a product page hides.
type Shortage struct {
	VariantID id.ID `json:"variant_id"`
	Requested int   `json:"requested"`
	Available int   `json:"available"`
}

func (e *ShortageError) Error() string {
	return fmt.Sprintf("%v for %d lines", ErrInsufficientStock, len(e.Lines))
}

// Unwrap makes errors.Is(err, ErrInsufficientStock) true.
func (e *ShortageError) Unwrap() error { return ErrInsufficientStock }

// errGuardMissed is our own mistake: the rows were locked and enough, and yet
// the guarded UPDATE did not take them. The transaction must not commit.
var errGuardMissed = errors.New("catalog: stock was checked under its lock and could not be taken")

// ReserveTx takes the stock of all lines or none, in the caller's transaction,
// and writes the ledger. The order must already be in it, and a variant may be
// named once. Call it as late as possible: the rows stay locked until the
// commit is durable, and every other buyer of a variant waits for that.
//
// On any error the transaction must be rolled back. A shortage is a
// *ShortageError, found before anything was taken.
//
// The rows are locked in the order of their ids, so that two carts with the
// same variants queue and never deadlock. The lock is a statement of its own
// because the UPDATE then begins with a snapshot that is newer than the wait: a
// single guarded UPDATE locks in the order of its plan, and reports the loser
// of a race only by a missing row, without the stock that was left. NO KEY,
// because no key changes: cart lines refer to variants, and a plain FOR UPDATE
// would stop everybody who puts one into a cart.
func ReserveTx(ctx context.Context, q *writeq.Queries, orderID id.ID, lines []StockLine) error {
	if len(lines) == 0 {
		return nil
	}
	take := writeq.TakeStockParams{OrderID: orderID}
	for _, line := range lines {
		if line.Quantity < 1 {
			return fmt.Errorf("reserve stock: quantity %d of variant %s", line.Quantity, line.VariantID)
		}
		take.Ids = append(take.Ids, line.VariantID)
		take.Quantities = append(take.Quantities, int32(line.Quantity))
	}
	locked, err := q.LockVariants(ctx, take.Ids)
	if err != nil {
		return fmt.Errorf("lock variants: %w", err)
	}
	if short := shortages(lines, locked); len(short) > 0 {
		return &ShortageError{short}
	}
	taken, err := q.TakeStock(ctx, take)
	if err != nil {
		return fmt.Errorf("take stock: %w", err)
	}
	if taken != int64(len(lines)) {
		return fmt.Errorf("%w: %d of %d lines of order %s", errGuardMissed, taken, len(lines), orderID)
	}
	return nil
}

func shortages(lines []StockLine, locked []writeq.LockVariantsRow) []Shortage {
	available := make(map[id.ID]int, len(locked))
	for _, v := range locked {
		if v.Sellable {
			available[v.ID] = int(v.StockQuantity)
		}
	}
	var short []Shortage
	for _, line := range lines {
		if n := available[line.VariantID]; n < line.Quantity {
			short = append(short, Shortage{line.VariantID, line.Quantity, min(n, maxAvailable)})
		}
	}
	return short
}
