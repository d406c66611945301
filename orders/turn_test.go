package orders

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// TestABatchBeginsBehindACommit: the standbys are frozen, and the first batch stands in
// its COMMIT. The next has claimed its keys and read its carts by then, waits for no lock,
// and is decided when the first is over, which has the last one.
func TestABatchBeginsBehindACommit(t *testing.T) {
	for name, queued := range map[string]bool{"from the queue": true, "from nowhere": false} {
		t.Run(name, func(t *testing.T) {
			s := newHotShop(t, 1)
			carts, told := s.carts(t, s.variant, 2), make(chan error, 2)
			join := func(i int) {
				ask := checkoutAsk{keyOf(carts[i]), carts[i], form(), answerWith[Order](201)}
				_, _, err := s.store.combiner.join(t.Context(), ask, []id.ID{s.variant})
				told <- err
			}
			admin := s.Admin(t, s.Primary())
			s.exec(t, admin, "BEGIN")
			s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR NO KEY UPDATE", s.variant)
			go join(0)
			dbtest.Eventually(t, "the first waits for the variant", func() bool { return s.waiting(t) == 1 })
			if queued {
				go join(1)
				dbtest.Eventually(t, "the second stands in the queue", func() bool { return s.queued() == 1 })
			}
			for _, n := range s.Replicas() {
				t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
				dbtest.Do(t, n.Freeze)
			}
			s.exec(t, admin, "ROLLBACK")
			backends := func(where string) int {
				return one[int](t, s.shop, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+where)
			}
			dbtest.Eventually(t, "a COMMIT waits for a standby", func() bool { return backends("wait_event = 'SyncRep'") == 1 })
			if !queued {
				go join(1)
			}
			dbtest.Eventually(t, "the second has read its carts", func() bool {
				return backends("state = 'idle in transaction' AND query LIKE '-- name: LinesOfCarts %'") == 1
			})
			if backends("wait_event = 'SyncRep'") != 1 || s.waiting(t) != 0 || len(told) != 0 {
				t.Errorf("%d COMMITs wait for a standby, %d backends for a lock, and %d are told",
					backends("wait_event = 'SyncRep'"), s.waiting(t), len(told))
			}
			for _, n := range s.Replicas() {
				dbtest.Do(t, n.Thaw)
			}
			if err := <-told; err != nil {
				t.Errorf("the first was told %v", err)
			}
			if err := <-told; !errors.Is(err, catalog.ErrInsufficientStock) {
				t.Errorf("the second was told %v", err)
			}
			s.audit(t)
		})
	}
}

// TestABatchThatFailsEarlyKeepsItsTurn: its checkouts go alone at once, and the batch
// behind it still waits for the one ahead.
func TestABatchThatFailsEarlyKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := new(told)
		c := newCombiner(&Store{config: Config{HotHooks: told.hooks()}}) // without a database each batch fails
		mine := &ticket{done: make(chan outcome, 1)}
		ahead := make(chan struct{})
		over := c.start([]*ticket{mine}, ahead)
		synctest.Wait()
		if o := <-mine.done; !o.alone || told.alone.Load() != 1 || told.failed.Load() == nil {
			t.Errorf("the outcome of a batch that failed is %+v", o)
		}
		select {
		case <-over:
			t.Error("the next may have its turn before the one ahead is over")
		default:
		}
		close(ahead)
		<-over
	})
}

// TestTwinsAreNeverUnderWayAtOnce: who has the key or the cart of a checkout that is
// under way waits until that is over, and keeps nobody else.
func TestTwinsAreNeverUnderWayAtOnce(t *testing.T) {
	t.Parallel()
	ticketFor := func(key string, cart id.ID) *ticket {
		return &ticket{checkoutAsk: checkoutAsk{key: Key{Value: key}, at: CartRef{ID: cart}}}
	}
	cart := id.New()
	first, sameKey, sameCart, other := ticketFor("a", cart), ticketFor("a", id.New()), ticketFor("b", cart), ticketFor("c", id.New())
	c := newCombiner(&Store{config: Config{HotBatch: 2}})
	c.queue = []*ticket{first, sameKey, sameCart, other}
	want := func(what string, more bool, tickets ...*ticket) {
		t.Helper()
		batch, left := c.next()
		if !slices.Equal(batch, tickets) || left != more || c.running != (more || len(batch) > 0) {
			t.Errorf("%s: %d tickets and %v; running: %v", what, len(batch), left, c.running)
		}
	}
	want("who came first, and who is in nobody's way", true, first, other)
	want("while they are under way", true)
	c.finish([]*ticket{first, other})
	want("when they are over", false, sameKey, sameCart)
	c.finish([]*ticket{sameKey, sameCart})
	want("then", false)
	if len(c.underWay) != 0 {
		t.Errorf("%d are under way for ever", len(c.underWay))
	}
}
