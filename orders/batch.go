package orders

import (
	"context"
	"errors"
	"fmt"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// A batch is several checkouts in one transaction, which does what [Store.Checkout]
// does for one: keys, carts, orders, answers, stock. Only the variants' rows are locked
// earlier, since who gets an order depends on what is left; by then the batch waits for
// nothing but its own statements.
//
// None of its statements waits for a cart (LockOpenCarts skips a locked one), and for a
// key or a variant none waits longer than lock_timeout.
type batch struct {
	store    *Store
	q        *writeq.Queries
	tickets  []*ticket
	outcomes []outcome // beside tickets

	carts  map[id.ID]openCart // of those that may be sold
	drafts []draft            // of those that are
	buyers []int              // and the tickets of these drafts
}

// openCart is a locked cart that nothing speaks against.
type openCart struct {
	shopper id.ID
	lines   []line
	sum     catalog.Money
}

// checkoutTogether returns an outcome for each ticket. On an error nothing was done,
// except with fresh.ErrCommitUnknown. A panic is an error, too: each ticket will meet it
// again alone, on its own request, where it is reported.
func (s *Store) checkoutTogether(ctx context.Context, tickets []*ticket) (outcomes []outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("checkout together: panic: %v", v)
		}
	}()
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		b := batch{store: s, q: q, tickets: tickets, outcomes: make([]outcome, len(tickets))} // anew for each try
		outcomes = b.outcomes
		return b.run(ctx)
	})
	return outcomes, err
}

func (b *batch) run(ctx context.Context) error {
	if err := b.claim(ctx); err != nil {
		return err
	}
	if err := b.lockCarts(ctx); err != nil {
		return err
	}
	if err := b.readLines(ctx); err != nil {
		return err
	}
	if err := b.serve(ctx); err != nil {
		return err
	}
	if err := b.place(ctx); err != nil {
		return err
	}
	return b.settle(ctx)
}

// open lists the tickets that nothing was decided for yet.
func (b *batch) open() []int {
	var open []int
	for i, o := range b.outcomes {
		if !o.alone && o.err == nil && o.answer.Status == 0 {
			open = append(open, i)
		}
	}
	return open
}

// claim takes the keys and answers those tickets whose key has an answer.
func (b *batch) claim(ctx context.Context) error {
	params := writeq.ClaimKeysParams{Route: b.tickets[0].key.Route}
	at := map[keyID]int{}
	for i, t := range b.tickets {
		at[t.key.id()] = i
		params.Callers = append(params.Callers, t.key.Caller.digest[:])
		params.Keys = append(params.Keys, t.key.Value)
		params.Fingerprints = append(params.Fingerprints, t.key.Fingerprint[:])
	}
	rows, err := b.q.ClaimKeys(ctx, params)
	if err != nil {
		return fmt.Errorf("claim keys: %w", err)
	}
	for _, row := range rows {
		i := at[keyID{[len(Shopper{}.digest)]byte(row.Caller), row.Key}]
		answer, found, err := b.tickets[i].key.standsFor(row.Fingerprint, row.Status, row.Response)
		if err != nil || found {
			b.outcomes[i] = outcome{answer: answer, err: err}
		}
	}
	return nil
}

// lockCarts sends those away whose cart is not there, not theirs, not open, busy, or of
// another version.
func (b *batch) lockCarts(ctx context.Context) error {
	var params writeq.LockOpenCartsParams
	for _, i := range b.open() {
		params.CartIds = append(params.CartIds, b.tickets[i].at.ID)
		params.TokenDigests = append(params.TokenDigests, b.tickets[i].at.digest())
	}
	rows, err := b.q.LockOpenCarts(ctx, params)
	if err != nil {
		return fmt.Errorf("lock carts: %w", err)
	}
	locked := make(map[id.ID]writeq.LockOpenCartsRow, len(rows))
	for _, row := range rows {
		locked[row.ID] = row
	}
	b.carts = make(map[id.ID]openCart, len(rows))
	for _, i := range b.open() {
		t := b.tickets[i]
		if cart, ok := locked[t.at.ID]; ok && t.at.matches(cart.Version) {
			b.carts[t.at.ID] = openCart{shopper: cart.ShopperID}
		} else {
			b.outcomes[i].alone = true
		}
	}
	return nil
}

// readLines sends those away whose cart is empty, or not what they agreed to pay.
func (b *batch) readLines(ctx context.Context) error {
	ids := make([]id.ID, 0, len(b.carts))
	for cart := range b.carts {
		ids = append(ids, cart)
	}
	rows, err := b.q.LinesOfCarts(ctx, ids)
	if err != nil {
		return fmt.Errorf("read carts: %w", err)
	}
	currency, odd := b.store.config.Currency, map[id.ID]bool{}
	for _, r := range rows {
		l, err := newLine(Item{
			VariantID: r.VariantID, ProductSlug: r.ProductSlug, Name: r.Name, SKU: r.Sku,
			Options: r.Options, Quantity: int(r.Quantity),
		}, currency, r.Price)
		odd[r.CartID] = odd[r.CartID] || err != nil
		cart := b.carts[r.CartID]
		cart.lines = append(cart.lines, l)
		b.carts[r.CartID] = cart
	}
	for _, i := range b.open() {
		at := b.tickets[i].at.ID
		cart := b.carts[at]
		cart.sum, err = b.store.agree(cart.lines, b.tickets[i].form.ExpectedTotal)
		b.carts[at] = cart
		b.outcomes[i].alone = err != nil || odd[at]
	}
	return nil
}

// serve locks the stock and hands it out in the order in which the tickets came.
func (b *batch) serve(ctx context.Context) error {
	var wanted []id.ID
	open := b.open()
	for _, i := range open {
		for _, l := range b.carts[b.tickets[i].at.ID].lines {
			wanted = append(wanted, l.VariantID)
		}
	}
	shelf, err := catalog.LockShelfTx(ctx, b.q, wanted)
	if err != nil {
		return err
	}
	for _, i := range open {
		t := b.tickets[i]
		cart := b.carts[t.at.ID]
		d, err := newDraft(t.at.ID, cart.shopper, t.form, cart.lines, cart.sum)
		if err != nil {
			return err
		}
		if short := shelf.Take(stockLines(d.Items)); len(short) > 0 {
			b.outcomes[i].err = &catalog.ShortageError{Lines: short}
			continue
		}
		b.drafts, b.buyers = append(b.drafts, d), append(b.buyers, i)
	}
	return nil
}

// place writes the orders and closes their carts.
func (b *batch) place(ctx context.Context) error {
	if len(b.drafts) == 0 {
		return nil
	}
	placed, err := b.store.insertTx(ctx, b.q, b.drafts)
	if err != nil {
		return err
	}
	carts := make([]id.ID, len(b.drafts))
	for i, d := range b.drafts {
		carts[i] = d.cart
	}
	closed, err := b.q.CloseCarts(ctx, carts)
	switch {
	case err != nil:
		return fmt.Errorf("close carts: %w", err)
	case closed != int64(len(carts)):
		return errors.New("carts that were locked and open could not be closed") // our own mistake: do not commit
	}
	for n, i := range b.buyers {
		if b.outcomes[i].answer, err = b.tickets[i].render(placed[n]); err != nil {
			return err
		}
	}
	return nil
}

// settle keeps the answers, gives the keys back of those who go alone, and takes the
// stock.
func (b *batch) settle(ctx context.Context) error {
	keep := writeq.KeepAnswersParams{Route: b.tickets[0].key.Route}
	leave := writeq.LeaveKeysParams{Route: keep.Route}
	for i, t := range b.tickets {
		o := b.outcomes[i]
		if o.alone {
			leave.Callers, leave.Keys = append(leave.Callers, t.key.Caller.digest[:]), append(leave.Keys, t.key.Value)
			continue
		}
		answer := o.answer
		if failure, final := encodeFailure(o.err); final {
			answer = failure
		}
		if answer.Status == 0 || answer.Replayed {
			continue
		}
		keep.Callers, keep.Keys = append(keep.Callers, t.key.Caller.digest[:]), append(keep.Keys, t.key.Value)
		keep.Fingerprints = append(keep.Fingerprints, t.key.Fingerprint[:])
		keep.Statuses, keep.Responses = append(keep.Statuses, int16(answer.Status)), append(keep.Responses, answer.Body)
	}
	if len(leave.Keys) > 0 {
		if err := b.q.LeaveKeys(ctx, leave); err != nil {
			return fmt.Errorf("leave keys: %w", err)
		}
	}
	if len(keep.Keys) > 0 {
		if err := b.q.KeepAnswers(ctx, keep); err != nil {
			return fmt.Errorf("keep answers: %w", err)
		}
	}
	var take []catalog.OrderLine
	for _, d := range b.drafts {
		for _, line := range stockLines(d.Items) {
			take = append(take, catalog.OrderLine{OrderID: d.ID, StockLine: line})
		}
	}
	return catalog.TakeTx(ctx, b.q, take)
}
