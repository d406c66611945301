package orders

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// TestABatchBeginsBehindACommit: the first batch is made to stand in its COMMIT. The next
// has claimed its keys and read its carts by then, waits for no lock, and is decided when
// the first is over, which has the last one.
func TestABatchBeginsBehindACommit(t *testing.T) {
	t.Parallel()
	for name, queued := range map[string]bool{"from the queue": true, "from nowhere": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHotShop(t, 1)
			carts, release := s.carts(t, s.variant, 2), s.stallCommits(t)
			c, told := s.store.combiner, make(chan error, 2)
			join := func(i int) {
				ask := checkoutAsk{keyOf(carts[i]), carts[i], form(), answerWith[Order](201)}
				_, _, err := c.join(t.Context(), ask, []id.ID{s.variant})
				told <- err
			}
			c.running = queued
			go join(0)
			if queued {
				for i := range carts {
					dbtest.Eventually(t, "they stand in the queue", func() bool { return s.queued() == i+1 })
					if i == 0 {
						go join(1)
					}
				}
				go c.run()
			}
			backends := func(where string) int {
				return one[int](t, s.shop, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+where)
			}
			const stalled = "wait_event = 'advisory' AND query LIKE 'COMMIT%'"
			dbtest.Eventually(t, "a COMMIT waits", func() bool { return backends(stalled) == 1 })
			if !queued {
				go join(1)
			}
			dbtest.Eventually(t, "the second has read its carts", func() bool {
				return backends("state = 'idle in transaction' AND query LIKE '-- name: GoodsOfCarts %'") == 1
			})
			if backends(stalled) != 1 || s.waiting(t) != 1 || len(told) != 0 {
				t.Errorf("%d COMMITs wait, %d backends wait for a lock, and %d are told", backends(stalled), s.waiting(t), len(told))
			}
			release()
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

// stallCommits lets each COMMIT of an order wait until release is called; nobody's time
// runs out meanwhile, and a batch is of one.
func (s *hotShop) stallCommits(t *testing.T) (release func()) {
	t.Helper()
	admin := s.Admin(t, s.Primary())
	for _, sql := range []string{
		`DO $$ BEGIN EXECUTE format('ALTER ROLE shop_rw IN DATABASE %I SET lock_timeout = 0', current_database());
			EXECUTE format('ALTER ROLE shop_rw IN DATABASE %I SET statement_timeout = 0', current_database()); END $$`,
		`CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stall()`,
		`SELECT pg_advisory_lock(1)`,
	} {
		s.exec(t, admin, sql)
	}
	s.store = New(db.New(s.NewRouter(t, s.Config())), s.store.config) // connections with those settings
	s.store.config.HotBatch, s.store.combiner.deadline = 1, time.Minute
	return func() { s.exec(t, admin, "SELECT pg_advisory_unlock(1)") }
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
// under way waits until that is over, and keeps nobody else in the queue.
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
