package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/fresh"
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

// ReturnKind is why stock comes back; it is the kind of the ledger's row.
type ReturnKind string

// The two ways in which an order gives its stock back. It goes one of them, once.
const (
	ReturnCancelled ReturnKind = "cancelled"
	ReturnExpired   ReturnKind = "expired"
)

// OrderLine is how much of a variant one of several orders takes or gives back.
type OrderLine struct {
	OrderID id.ID
	StockLine
}

// ErrReturned is our own mistake, caught by the ledger: the order's stock was
// returned before. Whoever asks for it holds the order's row and knows its status.
var ErrReturned = errors.New("catalog: the stock of this order was returned before")

// errGuardMissed: the UPDATE did not move every row. If they were locked and enough, it
// is our own mistake. The transaction must not commit.
var errGuardMissed = errors.New("catalog: stock was checked under its lock and could not be moved")

// ReserveTx takes the stock of all lines or none, in the caller's transaction,
// and writes the ledger. The order must already be in it, and a variant may be
// named once. Call it as late as possible: the rows stay locked until the
// commit is durable, and every other buyer of a variant waits for that.
//
// The lock and what is done under it are one round trip. If there is too little of one
// line the others are taken all the same: on any error the transaction must be rolled
// back. A shortage is a *ShortageError.
func ReserveTx(ctx context.Context, q *writeq.Queries, orderID id.ID, lines []StockLine) error {
	ids, take := make([]id.ID, len(lines)), make([]OrderLine, len(lines))
	for i, line := range lines {
		ids[i], take[i] = line.VariantID, OrderLine{orderID, line}
	}
	var shelf Shelf
	err := fresh.Together(ctx,
		func(ctx context.Context) (err error) { shelf, err = LockShelfTx(ctx, q, ids); return err },
		func(ctx context.Context) error { return TakeTx(ctx, q, take) },
	)
	if err != nil && !errors.Is(err, errGuardMissed) {
		return err
	}
	if short := shelf.Take(lines); len(short) > 0 {
		return &ShortageError{short}
	}
	return err
}

// A Shelf is what is left of variants whose rows the transaction has locked.
type Shelf struct{ available map[id.ID]int }

// LockShelfTx locks the rows of the variants, in the caller's transaction and until
// its end. A variant may be named more than once.
//
// The rows are locked in the order of their ids, so that two carts with the
// same variants queue and never deadlock. The lock is a statement of its own
// because the UPDATE then begins with a snapshot that is newer than the wait: a
// single guarded UPDATE locks in the order of its plan, and reports the loser
// of a race only by a missing row, without the stock that was left. NO KEY,
// because no key changes: cart lines refer to variants, and a plain FOR UPDATE
// would stop everybody who puts one into a cart.
func LockShelfTx(ctx context.Context, q *writeq.Queries, variants []id.ID) (Shelf, error) {
	shelf := Shelf{make(map[id.ID]int, len(variants))}
	if len(variants) == 0 {
		return shelf, nil
	}
	locked, err := q.LockVariants(ctx, variants)
	if err != nil {
		return Shelf{}, fmt.Errorf("lock variants: %w", err)
	}
	for _, v := range locked {
		if v.Sellable {
			shelf.available[v.ID] = int(v.StockQuantity)
		}
	}
	return shelf, nil
}

// Take takes all lines off the shelf, or none and says what is short; a variant may
// be named once. Nothing is written: see TakeTx.
func (s Shelf) Take(lines []StockLine) []Shortage {
	var short []Shortage
	for _, line := range lines {
		if n := s.available[line.VariantID]; n < line.Quantity {
			short = append(short, Shortage{line.VariantID, line.Quantity, min(n, maxAvailable)})
		}
	}
	if len(short) == 0 {
		for _, line := range lines {
			s.available[line.VariantID] -= line.Quantity
		}
	}
	return short
}

// TakeTx writes what was taken off the shelf, and the ledger, in the transaction that
// locked it; once, for one order or for several. On any error the transaction must be
// rolled back.
func TakeTx(ctx context.Context, q *writeq.Queries, lines []OrderLine) error {
	if len(lines) == 0 {
		return nil
	}
	var take writeq.TakeStockParams
	for _, line := range lines {
		if line.Quantity < 1 {
			return fmt.Errorf("reserve stock: quantity %d of variant %s", line.Quantity, line.VariantID)
		}
		take.OrderIds = append(take.OrderIds, line.OrderID)
		take.VariantIds = append(take.VariantIds, line.VariantID)
		take.Quantities = append(take.Quantities, int32(line.Quantity))
		take.MovementIds = append(take.MovementIds, id.New())
	}
	taken, err := q.TakeStock(ctx, take)
	if err != nil {
		return fmt.Errorf("take stock: %w", err)
	}
	if taken != int64(len(lines)) {
		return fmt.Errorf("%w: %d of %d lines", errGuardMissed, taken, len(lines))
	}
	return nil
}

// RestockTx gives back what orders took, in the caller's transaction, and writes
// the ledger. The caller holds the rows of the orders and has moved them to the
// status that kind names; the ledger refuses a second return with ErrReturned. Call
// it as late as possible, like ReserveTx, and once in a transaction: the rows are
// locked in the order of their ids, and so are their products behind them.
//
// What is no longer for sale is returned as well: it is in the warehouse all the same.
// On any error the transaction must be rolled back.
func RestockTx(ctx context.Context, q *writeq.Queries, kind ReturnKind, lines []OrderLine) error {
	if len(lines) == 0 {
		return nil
	}
	back := writeq.ReturnStockParams{Kind: string(kind)}
	for _, line := range lines {
		if line.Quantity < 1 {
			return fmt.Errorf("return stock: quantity %d of variant %s", line.Quantity, line.VariantID)
		}
		back.OrderIds = append(back.OrderIds, line.OrderID)
		back.VariantIds = append(back.VariantIds, line.VariantID)
		back.Quantities = append(back.Quantities, int32(line.Quantity))
		back.MovementIds = append(back.MovementIds, id.New())
	}
	// Without this, the UPDATE would lock in the order of its plan.
	if _, err := q.LockVariants(ctx, back.VariantIds); err != nil {
		return fmt.Errorf("lock variants: %w", err)
	}
	returned, err := q.ReturnStock(ctx, back)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && returnedOnce[pg.ConstraintName] {
		return fmt.Errorf("%w: %w", ErrReturned, err)
	}
	if err != nil {
		return fmt.Errorf("return stock: %w", err)
	}
	if returned != int64(len(lines)) {
		return fmt.Errorf("%w: %d of %d lines to return", errGuardMissed, returned, len(lines))
	}
	return nil
}

// returnedOnce are the constraints that hold promise G4 when nothing else does.
var returnedOnce = map[string]bool{
	"stock_movements_returned_once":                true,
	"stock_movements_order_id_variant_id_kind_key": true,
}
