package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// CheckoutForm is what a shopper adds to their cart to make it an order.
type CheckoutForm struct {
	Email           string         `json:"email"`
	ShippingAddress Address        `json:"shipping_address"`
	ExpectedTotal   *catalog.Money `json:"expected_total"` // nil takes any
}

// Checkout turns the cart into an order, takes the stock and closes the cart,
// all or nothing, and once per key. render makes the bytes that are kept and
// replayed; it may run more than once.
//
// One transaction at READ COMMITTED: key row, cart, order, kept answer, stock.
// The stock comes last, because its rows are the only ones that shoppers share,
// and they stay locked through the commit's wait for the synchronous standby.
// (Under REPEATABLE READ the wait for a twin's key would end in a 40001.)
//
// Errors: ErrKeyReused, ErrKeyInProgress, ErrNotFound, ErrCartClosed,
// ErrVersionMismatch, ErrCartEmpty, catalog.ErrInsufficientStock,
// ErrPriceChanged, ErrTotalTooLarge, ErrBusy, and those of fresh.Router.Write.
func (s *Store) Checkout(ctx context.Context, k Key, at CartRef, form CheckoutForm,
	render func(Order) (Answer, error),
) (Answer, error) {
	var order Order
	place := func(ctx context.Context, q *writeq.Queries) (_ Answer, err error) {
		if order, err = s.placeTx(ctx, q, at, form); err != nil {
			return Answer{}, err
		}
		return render(order)
	}
	reserve := func(ctx context.Context, q *writeq.Queries) error {
		return catalog.ReserveTx(ctx, q, order.ID, stockLines(order.Items))
	}
	answer, err := s.once(ctx, k, place, reserve)
	if err == nil && !answer.Replayed {
		s.sold.add(order.Items)
	}
	return answer, err
}

// placeTx closes the cart and writes the order. The cart is closed before anything
// is checked, since that is what locks it; every error below opens it again with
// the rollback.
func (s *Store) placeTx(ctx context.Context, q *writeq.Queries, at CartRef, form CheckoutForm) (Order, error) {
	shopper, err := closeTx(ctx, q, at)
	if err != nil {
		return Order{}, err
	}
	// A statement of its own after the lock: one that also locked would join
	// lines of the snapshot from before its wait.
	rows, err := cartRowsTx(ctx, q, at)
	if err != nil {
		return Order{}, err
	}
	lines, err := s.linesOf(rows)
	if err != nil {
		return Order{}, err
	}
	sum, err := s.agree(lines, form.ExpectedTotal)
	if err != nil {
		return Order{}, err
	}
	return s.insertTx(ctx, q, at.ID, shopper, form, lines, sum)
}

// closeTx locks and closes the cart, and returns the shopper's row.
func closeTx(ctx context.Context, q *writeq.Queries, at CartRef) (id.ID, error) {
	closed, err := q.CloseCart(ctx, writeq.CloseCartParams{CartID: at.ID, TokenDigest: at.digest()})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		rows, err := cartRowsTx(ctx, q, at)
		switch {
		case err != nil:
			return id.ID{}, err
		case len(rows) == 0:
			return id.ID{}, ErrNotFound
		}
		return id.ID{}, ErrCartClosed
	case err != nil:
		return id.ID{}, fmt.Errorf("close cart: %w", err)
	case !at.matches(closed.Version - 1):
		return id.ID{}, ErrVersionMismatch
	}
	return closed.ShopperID, nil
}

// agree returns the total that both sides hold to be right. What is no longer
// for sale still has its price here; ReserveTx will find that there is none.
func (s *Store) agree(lines []line, expected *catalog.Money) (catalog.Money, error) {
	if len(lines) == 0 {
		return catalog.Money{}, ErrCartEmpty
	}
	sum, err := total(lines, s.config.Currency)
	if err == nil && expected != nil && *expected != sum {
		err = &PriceChangedError{Total: sum}
	}
	return sum, err
}

// insertTx leaves the times to the database, expires_at too: several programs have
// several clocks, and the one that will expire the order compares with now().
func (s *Store) insertTx(ctx context.Context, q *writeq.Queries, cart, shopper id.ID, form CheckoutForm,
	lines []line, sum catalog.Money,
) (Order, error) {
	address, err := json.Marshal(form.ShippingAddress)
	if err != nil {
		return Order{}, fmt.Errorf("address: %w", err)
	}
	// The order in which GET reads them.
	slices.SortFunc(lines, func(a, b line) int { return bytes.Compare(a.VariantID[:], b.VariantID[:]) })
	order := Order{Email: form.Email, ShippingAddress: form.ShippingAddress}
	row := writeq.PlaceOrderParams{
		ID: id.New(), CartID: cart, ShopperID: shopper,
		Email: form.Email, ShippingAddress: address,
		Currency: sum.Currency, Total: sum.Amount, PaymentSeconds: s.config.PaymentWindow.Seconds(),
	}
	for _, l := range lines {
		order.Items = append(order.Items, l.Item)
		row.VariantIds = append(row.VariantIds, l.VariantID)
		row.ProductSlugs = append(row.ProductSlugs, l.ProductSlug)
		row.Names = append(row.Names, l.Name)
		row.Skus = append(row.Skus, l.SKU)
		row.Options = append(row.Options, l.Options)
		row.Quantities = append(row.Quantities, int32(l.Quantity))
		row.UnitPrices = append(row.UnitPrices, l.UnitPrice.Amount)
	}
	placed, err := q.PlaceOrder(ctx, row)
	switch {
	case pgError(err).ConstraintName == "orders_cart_id_key": // the net below closeTx
		return Order{}, ErrCartClosed
	case err != nil:
		return Order{}, fmt.Errorf("place order: %w", err)
	}
	order.Summary = newSummary(Summary{ID: row.ID, Status: Status(placed.Status), Version: placed.Version},
		placed.Number, sum, placed.ExpiresAt, placed.CreatedAt)
	order.History = []Step{{At: order.CreatedAt, To: order.Status, Reason: reasonCheckout}}
	return order, nil
}

func stockLines(items []Item) []catalog.StockLine {
	lines := make([]catalog.StockLine, len(items))
	for i, item := range items {
		lines[i] = catalog.StockLine{VariantID: item.VariantID, Quantity: item.Quantity}
	}
	return lines
}
