package orders

import (
	"context"
	"errors"
	"fmt"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
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
	turn     turn

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
func (s *Store) checkoutTogether(ctx context.Context, tickets []*ticket, t turn) (outcomes []outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("checkout together: panic: %v", v)
		}
	}()
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		b := batch{store: s, q: q, tickets: tickets, outcomes: make([]outcome, len(tickets)), turn: t} // anew for each try
		outcomes = b.outcomes
		return b.run(ctx)
	})
	return outcomes, err
}

func (b *batch) run(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	if err := b.turn.await(ctx); err != nil {
		return fmt.Errorf("wait for the batch ahead: %w", err)
	}
	if err := b.serve(ctx); err != nil {
		return err
	}
	if err := b.place(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	b.turn.commit()
	return nil
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

// begin claims the keys, locks the carts and reads them, and sends away whoever is not a
// plain case.
func (b *batch) begin(ctx context.Context) error {
	var claim writeq.ClaimKeysParams
	var lock writeq.LockOpenCartsParams
	claim.Route = b.tickets[0].key.Route
	for _, t := range b.tickets {
		claim.Callers = append(claim.Callers, t.key.Caller.digest[:])
		claim.Keys = append(claim.Keys, t.key.Value)
		claim.Fingerprints = append(claim.Fingerprints, t.key.Fingerprint[:])
		lock.CartIds = append(lock.CartIds, t.at.ID)
		lock.TokenDigests = append(lock.TokenDigests, t.at.digest())
	}
	var claimed []writeq.ClaimKeysRow
	var locked []writeq.LockOpenCartsRow
	var lines []writeq.LinesOfCartsRow
	var goods []writeq.GoodsOfCartsRow
	err := fresh.Together(ctx,
		func(ctx context.Context) (err error) { claimed, err = b.q.ClaimKeys(ctx, claim); return err },
		func(ctx context.Context) (err error) { locked, err = b.q.LockOpenCarts(ctx, lock); return err },
		func(ctx context.Context) (err error) { lines, err = b.q.LinesOfCarts(ctx, lock.CartIds); return err },
		func(ctx context.Context) (err error) { goods, err = b.q.GoodsOfCarts(ctx, lock.CartIds); return err },
	)
	if err != nil {
		return fmt.Errorf("claim keys and carts: %w", err)
	}
	b.answer(claimed)
	b.enter(locked)
	b.fill(lines, goods)
	return nil
}

// answer answers those tickets whose key has an answer.
func (b *batch) answer(claimed []writeq.ClaimKeysRow) {
	at := map[keyID]int{}
	for i, t := range b.tickets {
		at[t.key.id()] = i
	}
	for _, row := range claimed {
		i := at[keyID{[len(Shopper{}.digest)]byte(row.Caller), row.Key}]
		answer, found, err := b.tickets[i].key.standsFor(row.Fingerprint, row.Status, row.Response)
		if err != nil || found {
			b.outcomes[i] = outcome{answer: answer, err: err}
		}
	}
}

// enter sends those away whose cart is not there, not theirs, not open, busy, or of
// another version.
func (b *batch) enter(carts []writeq.LockOpenCartsRow) {
	locked := make(map[id.ID]writeq.LockOpenCartsRow, len(carts))
	for _, row := range carts {
		locked[row.ID] = row
	}
	b.carts = make(map[id.ID]openCart, len(carts))
	for _, i := range b.open() {
		t := b.tickets[i]
		if cart, ok := locked[t.at.ID]; ok && t.at.matches(cart.Version) {
			b.carts[t.at.ID] = openCart{shopper: cart.ShopperID}
		} else {
			b.outcomes[i].alone = true
		}
	}
}

// fill sends those away whose cart is empty, or not what they agreed to pay. The lines
// of a cart that is not locked are nobody's business.
func (b *batch) fill(rows []writeq.LinesOfCartsRow, goods []writeq.GoodsOfCartsRow) {
	sold := make(map[id.ID]writeq.GoodsOfCartsRow, len(goods))
	for _, g := range goods {
		sold[g.ID] = g
	}
	currency, odd := b.store.config.Currency, map[id.ID]bool{}
	for _, r := range rows {
		cart, ok := b.carts[r.CartID]
		if !ok {
			continue
		}
		g, known := sold[r.VariantID]
		l, err := newLine(Item{
			VariantID: r.VariantID, ProductSlug: g.ProductSlug, Name: g.Name, SKU: g.Sku,
			Options: g.Options, Quantity: int(r.Quantity),
		}, currency, g.Price)
		if err != nil || !known {
			odd[r.CartID] = true
		}
		cart.lines = append(cart.lines, l)
		b.carts[r.CartID] = cart
	}
	for _, i := range b.open() {
		at := b.tickets[i].at.ID
		cart := b.carts[at]
		sum, err := b.store.agree(cart.lines, b.tickets[i].form.ExpectedTotal)
		cart.sum = sum
		b.carts[at] = cart
		b.outcomes[i].alone = err != nil || odd[at]
	}
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

// place writes the orders.
func (b *batch) place(ctx context.Context) error {
	if len(b.drafts) == 0 {
		return nil
	}
	placed, err := b.store.insertTx(ctx, b.q, b.drafts)
	if err != nil {
		return err
	}
	for n, i := range b.buyers {
		if b.outcomes[i].answer, err = b.tickets[i].render(placed[n]); err != nil {
			return err
		}
	}
	return nil
}

// settle closes the carts, keeps the answers, gives the keys back of those who go alone,
// and takes the stock.
func (b *batch) settle(ctx context.Context) error {
	keep, leave := b.sortKeys()
	err := fresh.Together(ctx,
		func(ctx context.Context) error {
			if len(leave.Keys) == 0 {
				return nil
			}
			return b.q.LeaveKeys(ctx, leave)
		},
		func(ctx context.Context) error { return b.q.KeepAnswers(ctx, keep) },
		b.closeCarts, b.takeStock,
	)
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}

// sortKeys tells what is kept under which key from the keys that are given back.
func (b *batch) sortKeys() (keep writeq.KeepAnswersParams, leave writeq.LeaveKeysParams) {
	keep.Route, leave.Route = b.tickets[0].key.Route, b.tickets[0].key.Route
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
	return keep, leave
}

func (b *batch) closeCarts(ctx context.Context) error {
	carts := make([]id.ID, len(b.drafts))
	for i, d := range b.drafts {
		carts[i] = d.cart
	}
	closed, err := b.q.CloseCarts(ctx, carts)
	if err == nil && closed != int64(len(carts)) {
		err = errors.New("carts that were locked and open could not be closed") // our own mistake: do not commit
	}
	return err
}

func (b *batch) takeStock(ctx context.Context) error {
	var take []catalog.OrderLine
	for _, d := range b.drafts {
		for _, line := range stockLines(d.Items) {
			take = append(take, catalog.OrderLine{OrderID: d.ID, StockLine: line})
		}
	}
	return catalog.TakeTx(ctx, b.q, take)
}
