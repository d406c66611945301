package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// books are what the clients know of what they bought, to be held against the shop's
// own when the run is over. They are safe for concurrent use.
type books struct {
	mu      sync.Mutex
	open    map[*sale]bool // asked for, and the outcome is not known
	sales   []*sale
	orders  map[string]*sale
	reads   int
	wrongs  []string // promises that were broken, as they were met
	nwrongs int
	stock   map[string]int // before the run, by variant; nil without a back office
}

func newBooks() *books { return &books{open: map[*sale]bool{}, orders: map[string]*sale{}} }

const maxWrongs = 10 // are told one by one

func (b *books) wrong(format string, args ...any) {
	if b.nwrongs++; len(b.wrongs) < maxWrongs {
		b.wrongs = append(b.wrongs, fmt.Sprintf(format, args...))
	}
}

func (b *books) asked(s *sale) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[s] = true
}

func (b *books) refused(s *sale) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, s)
}

func (b *books) sold(s *sale) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, s)
	b.sales = append(b.sales, s)
	if twin := b.orders[s.order]; twin != nil {
		b.wrong("order %s was acknowledged for two carts", s.order)
	}
	b.orders[s.order] = s
}

// ownRead checks what a shopper sees who has just ordered.
func (b *books) ownRead(s *sale, status int, seen order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	switch {
	case status != 200:
		b.wrong("order %s was acknowledged, and its shopper then read %d", s.order, status)
	case seen.ID != s.order || len(seen.Items) != len(s.variants):
		b.wrong("order %s has %d lines, and its shopper read order %s with %d", s.order, len(s.variants), seen.ID, len(seen.Items))
	}
}

// Checks say what was held against the shop after a run, and what came of it.
type Checks struct {
	OwnReads int      `json:"own_reads"` // of a shopper who had just ordered
	Replays  int      `json:"replays"`   // checkouts that were sent once more at the end
	Ledger   []Ledger `json:"ledger"`    // empty without a back office
	Unknown  int      `json:"unknown"`   // checkouts whose outcome was never learned
	Broken   []string `json:"broken"`    // the first ten
	Breaks   int      `json:"breaks"`
	// Unchecked are promises of which nobody knows, since the shop or its back office did
	// not answer when the run was over.
	Unchecked []string `json:"unchecked"`
}

// Ledger is what one variant's stock did between the two ends of the run.
type Ledger struct {
	Variant string `json:"variant"`
	Before  int    `json:"before"`
	After   int    `json:"after"`
	Sold    int    `json:"sold"` // as the clients were told
}

// maxReplays checkouts are sent once more.
const maxReplays = 200

// close holds the books against the shop.
func (b *books) close(ctx context.Context, c *client, office *office) Checks {
	checks := Checks{OwnReads: b.reads, Unknown: len(b.open)}
	step := max(1, len(b.sales)/maxReplays)
	for i := 0; i < len(b.sales) && ctx.Err() == nil; i += step {
		s := b.sales[i]
		var again order
		a := c.send(ctx, s.request(&again))
		switch {
		case a.status == 0 || a.status >= 500 || a.status == 429:
			continue // it could not be asked
		case a.status != 201 || !a.replayed || again.ID != s.order:
			b.wrong("order %s, sent once more with its key, was answered %s with order %q", s.order, answerName(a.status, a.code), again.ID)
		}
		checks.Replays++
	}
	if len(b.sales) > 0 && checks.Replays == 0 {
		checks.Unchecked = append(checks.Unchecked, "one key, one order: no checkout that was sent once more was answered")
	}
	if b.stock != nil {
		var err error
		if checks.Ledger, err = b.ledger(ctx, office); err != nil {
			checks.Unchecked = append(checks.Unchecked, "oversell: "+err.Error())
		}
	}
	checks.Broken, checks.Breaks = b.wrongs, b.nwrongs
	return checks
}

// ledger is exact when nobody else buys and no order of before expires: who sold less
// than the stock fell has others in the shop, but more is oversold. An error is what the
// back office would not tell; the ledger is then of the variants before.
func (b *books) ledger(ctx context.Context, office *office) ([]Ledger, error) {
	sold := map[string]int{}
	for _, s := range b.sales {
		for _, v := range s.variants {
			sold[v]++
		}
	}
	all := make([]Ledger, 0, len(sold))
	for _, v := range slices.Sorted(maps.Keys(sold)) {
		after, err := office.stock(ctx, v)
		if err != nil {
			return all, fmt.Errorf("the stock of %d of %d variants cannot be read: %w", len(sold)-len(all), len(sold), err)
		}
		l := Ledger{Variant: v, Before: b.stock[v], After: after, Sold: sold[v]}
		if gone := l.Before - l.After; l.Sold > gone {
			b.wrong("variant %s: %d were sold, and the stock fell by %d", v, l.Sold, gone)
		}
		all = append(all, l)
	}
	return all, nil
}

// office reads the back office.
type office struct {
	client *client
	key    string
}

// stock is what the last movement of the variant left.
func (o *office) stock(ctx context.Context, variant string) (int, error) {
	var page struct{ Data []struct{ After int } }
	a := o.client.send(ctx, request{
		method: "GET", path: "/v1/admin/variants/" + variant + "/stock-movements?limit=1", apiKey: o.key, into: &page,
	})
	switch {
	case !a.ok():
		return 0, fmt.Errorf("the back office answered %s", answerName(a.status, a.code))
	case len(page.Data) == 0:
		return 0, fmt.Errorf("variant %s has no movement", variant)
	}
	return page.Data[0].After, nil
}

// fill adds to the stock, and returns what there is then.
func (o *office) fill(ctx context.Context, variant string, more int) (int, error) {
	var movement struct{ After int }
	a := o.client.send(ctx, request{
		method: "POST", path: "/v1/admin/variants/" + variant + "/stock-adjustments", apiKey: o.key,
		key: "load-" + rand.Text(), body: fmt.Sprintf(`{"delta":%d,"reason":"load test"}`, more), into: &movement,
	})
	if !a.ok() {
		return 0, fmt.Errorf("the back office would not add to the stock: %s", answerName(a.status, a.code))
	}
	return movement.After, nil
}
