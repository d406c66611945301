package orders

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// OrderRef names an order, who asks for it, and the version it must have; 0 is any.
type OrderRef struct {
	ID      id.ID
	Shopper Shopper
	Version int64
}

// Payment is an attempt to pay. There is one method, which simulates a provider
// and does as it is told.
type Payment struct {
	Method   string // MethodTest
	Declined bool
}

// MethodTest is the one method of payment.
const MethodTest = "test"

// What a row of payments says.
const (
	outcomeApproved = "approved"
	outcomeDeclined = "declined"
)

// The reasons in an order's history.
const (
	reasonCheckout  = "checkout"
	reasonPayment   = "payment"
	reasonCancelled = "cancelled by the shopper"
	reasonExpired   = "not paid in time"
)

// Pay tries to pay the order, once per key, and leaves a row of the attempt. A
// decline is an outcome like an approval: it commits, it is remembered under its
// key, and another key may try again. render makes the bytes that are kept and
// replayed; it may run more than once.
//
// The order's row is locked first, so of a payment, a cancellation and the sweeper one
// comes first and the others see what it did. An order whose time is over cannot be
// paid, whether or not the sweeper has been there.
//
// Errors: ErrKeyReused, ErrKeyInProgress, ErrNotFound, ErrPaymentDeclined,
// ErrOrderExpired, ErrNotPayable, ErrBusy, and those of fresh.Router.Write.
func (s *Store) Pay(ctx context.Context, k Key, at OrderRef, p Payment,
	render func(Order) (Answer, error),
) (Answer, error) {
	work := func(ctx context.Context, q *writeq.Queries) (Answer, error) {
		if err := payTx(ctx, q, at, p); err != nil {
			return Answer{}, err
		}
		if p.Declined {
			answer, _ := encodeFailure(ErrPaymentDeclined)
			return answer, nil // and not an error: the row of the attempt must stay
		}
		order, err := orderTx(ctx, q, at)
		if err != nil {
			return Answer{}, err
		}
		return render(order)
	}
	return s.once(ctx, k, work, nothingMore)
}

// payTx records the attempt and, if it is approved, takes the step.
func payTx(ctx context.Context, q *writeq.Queries, at OrderRef, p Payment) error {
	order, err := lockTx(ctx, q, at)
	switch {
	case err != nil:
		return err
	case Status(order.Status) == Expired, Status(order.Status) == PendingPayment && order.Overdue:
		return ErrOrderExpired
	case !Status(order.Status).CanBecome(Paid):
		return ErrNotPayable
	}
	row := writeq.RecordPaymentParams{
		ID: id.New(), OrderID: at.ID, Method: p.Method, Outcome: outcomeApproved,
		Amount: order.Total, Currency: order.Currency,
	}
	if p.Declined {
		row.Outcome = outcomeDeclined
	}
	switch err := q.RecordPayment(ctx, row); {
	case pgError(err).ConstraintName == "payments_settled_once": // the net below lockTx
		return ErrNotPayable
	case err != nil:
		return fmt.Errorf("record payment: %w", err)
	case p.Declined:
		return nil
	}
	return moveTx(ctx, q, at.ID, PendingPayment, Paid, reasonPayment)
}

// Cancel cancels the order, refunds what was paid and returns its stock, in one
// transaction. A repeat answers the order as it is, whatever version it asks for: it
// may be that of a client that has not heard of its own success. "" is no reason.
//
// Errors: ErrNotFound, ErrVersionMismatch, ErrNotCancellable, ErrBusy, and those of
// fresh.Router.Write.
func (s *Store) Cancel(ctx context.Context, at OrderRef, reason string) (Order, error) {
	if reason == "" {
		reason = reasonCancelled
	}
	var order Order
	err := s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		var again bool
		var err error
		if again, err = cancelTx(ctx, q, at, reason); err != nil {
			return err
		}
		if order, err = orderTx(ctx, q, at); err != nil || again {
			return err
		}
		return catalog.RestockTx(ctx, q, catalog.ReturnCancelled, returnLines(order)) // last: others wait for these rows
	})
	return order, err
}

// cancelTx takes the step, unless it was taken before.
func cancelTx(ctx context.Context, q *writeq.Queries, at OrderRef, reason string) (again bool, err error) {
	order, err := lockTx(ctx, q, at)
	status := Status(order.Status)
	switch {
	case err != nil:
		return false, err
	case status == Cancelled:
		return true, nil
	case !status.CanBecome(Cancelled):
		return false, ErrNotCancellable
	case at.Version != 0 && at.Version != order.Version:
		return false, ErrVersionMismatch
	}
	if err := moveTx(ctx, q, at.ID, status, Cancelled, reason); err != nil {
		return false, err
	}
	if err := q.RefundPayment(ctx, writeq.RefundPaymentParams{ID: id.New(), OrderID: at.ID}); err != nil {
		return false, fmt.Errorf("refund payment: %w", err)
	}
	return false, nil
}

func lockTx(ctx context.Context, q *writeq.Queries, at OrderRef) (writeq.LockOrderRow, error) {
	row, err := q.LockOrder(ctx, writeq.LockOrderParams{OrderID: at.ID, TokenDigest: at.Shopper.digest[:]})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return row, ErrNotFound
	case err != nil:
		return row, fmt.Errorf("lock order: %w", err)
	}
	return row, nil
}

// errMoved is our own mistake: the order's row was locked and its status known, and
// yet it was not in it. The transaction must not commit.
var errMoved = errors.New("orders: an order left its status under its lock")

// moveTx takes one step of the course of an order whose row the transaction has
// locked, and writes it into the history.
func moveTx(ctx context.Context, q *writeq.Queries, order id.ID, from, to Status, reason string) error {
	n, err := q.MoveOrder(ctx, writeq.MoveOrderParams{
		OrderID: order, FromStatus: string(from), ToStatus: string(to), Reason: reason,
	})
	switch {
	case err != nil:
		return fmt.Errorf("move order to %s: %w", to, err)
	case n != 1:
		return fmt.Errorf("%w: %s, from %s to %s", errMoved, order, from, to)
	}
	return nil
}

// orderTx reads the order as the transaction has made it.
func orderTx(ctx context.Context, q *writeq.Queries, at OrderRef) (Order, error) {
	lines, err := q.OrderLines(ctx, writeq.OrderLinesParams{OrderID: at.ID, TokenDigest: at.Shopper.digest[:]})
	if err != nil {
		return Order{}, fmt.Errorf("read order: %w", err)
	}
	// Both generated packages make the same row types of the shared query file.
	rows := make([]readq.OrderLinesRow, len(lines))
	for i, row := range lines {
		rows[i] = readq.OrderLinesRow(row)
	}
	return withHistoryTx(ctx, q, at.ID, rows)
}

func withHistoryTx(ctx context.Context, q *writeq.Queries, order id.ID, rows []readq.OrderLinesRow) (Order, error) {
	steps, err := q.OrderHistory(ctx, order)
	if err != nil {
		return Order{}, fmt.Errorf("read history: %w", err)
	}
	history := make([]readq.OrderHistoryRow, len(steps))
	for i, row := range steps {
		history[i] = readq.OrderHistoryRow(row)
	}
	return orderOf(order, rows, history)
}

func returnLines(order Order) []catalog.OrderLine {
	lines := make([]catalog.OrderLine, len(order.Items))
	for i, line := range stockLines(order.Items) {
		lines[i] = catalog.OrderLine{OrderID: order.ID, StockLine: line}
	}
	return lines
}
