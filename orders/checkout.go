package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
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
	var placed []Item
	ask := checkoutAsk{key: k, at: at, form: form, render: func(order Order) (Answer, error) {
		placed = order.Items
		return render(order)
	}}
	answer, err := s.checkout(ctx, ask)
	if err == nil && !answer.Replayed {
		s.sold.add(placed)
	}
	return answer, err
}

func (s *Store) checkout(ctx context.Context, ask checkoutAsk) (Answer, error) {
	if s.combiner != nil {
		return s.combiner.checkout(ctx, ask)
	}
	return s.checkoutAlone(ctx, ask, nil)
}

// checkoutAsk is what Checkout was asked for.
type checkoutAsk struct {
	key    Key
	at     CartRef
	form   CheckoutForm
	render func(Order) (Answer, error)
}

// checkoutAlone is a checkout in a transaction of its own. reserving, unless it is
// nil, is told the variants just before their rows are locked.
func (s *Store) checkoutAlone(ctx context.Context, ask checkoutAsk, reserving func([]catalog.StockLine)) (Answer, error) {
	var order Order
	place := func(ctx context.Context, q *writeq.Queries) (_ Answer, err error) {
		if order, err = s.placeTx(ctx, q, ask.at, ask.form); err != nil {
			return Answer{}, err
		}
		return ask.render(order)
	}
	reserve := func(ctx context.Context, q *writeq.Queries) error {
		lines := stockLines(order.Items)
		if reserving != nil {
			reserving(lines)
		}
		return catalog.ReserveTx(ctx, q, order.ID, lines)
	}
	return s.once(ctx, ask.key, place, reserve)
}

// placeTx closes the cart and writes the order. The cart is closed before anything
// is checked, since that is what locks it; every error below opens it again with
// the rollback.
func (s *Store) placeTx(ctx context.Context, q *writeq.Queries, at CartRef, form CheckoutForm) (Order, error) {
	shopper, rows, err := closeTx(ctx, q, at)
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
	d, err := newDraft(at.ID, shopper, form, lines, sum)
	if err != nil {
		return Order{}, err
	}
	placed, err := s.insertTx(ctx, q, []draft{d})
	if err != nil {
		return Order{}, err
	}
	return placed[0], nil
}

// closeTx locks and closes the cart, and returns the shopper's row and the cart's. These
// are read by a statement of their own after the lock: one that also locked would join
// lines of the snapshot from before its wait.
func closeTx(ctx context.Context, q *writeq.Queries, at CartRef) (shopper id.ID, rows []readq.CartLinesRow, err error) {
	var closed []writeq.CloseCartRow
	err = fresh.Together(ctx,
		func(ctx context.Context) (err error) {
			closed, err = q.CloseCart(ctx, writeq.CloseCartParams{CartID: at.ID, TokenDigest: at.digest()})
			return err
		},
		func(ctx context.Context) (err error) { rows, err = cartRowsTx(ctx, q, at); return err },
	)
	switch {
	case err != nil:
		return id.ID{}, nil, fmt.Errorf("close cart: %w", err)
	case len(rows) == 0:
		return id.ID{}, nil, ErrNotFound
	case len(closed) == 0:
		return id.ID{}, nil, ErrCartClosed
	case !at.matches(closed[0].Version - 1):
		return id.ID{}, nil, ErrVersionMismatch
	}
	return closed[0].ShopperID, rows, nil
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

// A draft is an order that the database has not numbered yet.
type draft struct {
	Order
	cart, shopper id.ID
	address       []byte
	sum           catalog.Money
}

func newDraft(cart, shopper id.ID, form CheckoutForm, lines []line, sum catalog.Money) (draft, error) {
	address, err := json.Marshal(form.ShippingAddress)
	if err != nil {
		return draft{}, fmt.Errorf("address: %w", err)
	}
	// The order in which GET reads them.
	slices.SortFunc(lines, func(a, b line) int { return bytes.Compare(a.VariantID[:], b.VariantID[:]) })
	d := draft{cart: cart, shopper: shopper, address: address, sum: sum}
	d.ID = id.New()
	d.Email, d.ShippingAddress = form.Email, form.ShippingAddress
	for _, l := range lines {
		d.Items = append(d.Items, l.Item)
	}
	return d, nil
}

// insertTx writes the drafts and returns the orders, in their order. It leaves the
// times to the database, expires_at too: several programs have several clocks, and the
// one that will expire the order compares with now().
func (s *Store) insertTx(ctx context.Context, q *writeq.Queries, drafts []draft) ([]Order, error) {
	params := writeq.PlaceOrdersParams{Currency: s.config.Currency, PaymentSeconds: s.config.PaymentWindow.Seconds()}
	for _, d := range drafts {
		params.Ids = append(params.Ids, d.ID)
		params.CartIds = append(params.CartIds, d.cart)
		params.ShopperIds = append(params.ShopperIds, d.shopper)
		params.Emails = append(params.Emails, d.Email)
		params.ShippingAddresses = append(params.ShippingAddresses, d.address)
		params.Totals = append(params.Totals, d.sum.Amount)
		for _, item := range d.Items {
			params.OrderIds = append(params.OrderIds, d.ID)
			params.VariantIds = append(params.VariantIds, item.VariantID)
			params.ProductSlugs = append(params.ProductSlugs, item.ProductSlug)
			params.Names = append(params.Names, item.Name)
			params.Skus = append(params.Skus, item.SKU)
			params.Options = append(params.Options, item.Options)
			params.Quantities = append(params.Quantities, int32(item.Quantity))
			params.UnitPrices = append(params.UnitPrices, item.UnitPrice.Amount)
		}
	}
	rows, err := q.PlaceOrders(ctx, params)
	switch {
	case pgError(err).ConstraintName == "orders_cart_id_key": // the net below closeTx
		return nil, ErrCartClosed
	case err != nil:
		return nil, fmt.Errorf("place orders: %w", err)
	}
	numbered := make(map[id.ID]writeq.PlaceOrdersRow, len(rows))
	for _, row := range rows {
		numbered[row.ID] = row
	}
	placed := make([]Order, len(drafts))
	for i, d := range drafts {
		placed[i] = d.numbered(numbered[d.ID])
	}
	return placed, nil
}

func (d draft) numbered(row writeq.PlaceOrdersRow) Order {
	order := d.Order
	order.Summary = newSummary(Summary{ID: d.ID, Status: Status(row.Status), Version: row.Version},
		row.Number, d.sum, row.ExpiresAt, row.CreatedAt)
	order.History = []Step{{At: order.CreatedAt, To: order.Status, Reason: reasonCheckout}}
	return order
}

func stockLines(items []Item) []catalog.StockLine {
	lines := make([]catalog.StockLine, len(items))
	for i, item := range items {
		lines[i] = catalog.StockLine{VariantID: item.VariantID, Quantity: item.Quantity}
	}
	return lines
}
