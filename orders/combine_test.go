package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// A hotShop has one hot variant, and a plug that holds every batch up.
type hotShop struct {
	*shop
	variant id.ID
	told    *told
}

// told is what the hooks were told.
type told struct {
	batches, together, alone, full atomic.Int32
	failed                         atomic.Pointer[error] // the last one
}

func (w *told) hooks() HotHooks {
	return HotHooks{
		Batch: func(together, alone int) {
			w.batches.Add(1)
			w.together.Add(int32(together))
			w.alone.Add(int32(alone))
		},
		Full:   func() { w.full.Add(1) },
		Failed: func(err error) { w.failed.Store(&err) },
	}
}

// want waits until that was told: a shopper may have the answer before the hook has it.
func (w *told) want(t *testing.T, batches, together, alone, full int32) {
	t.Helper()
	got := func() [4]int32 {
		return [4]int32{w.batches.Load(), w.together.Load(), w.alone.Load(), w.full.Load()}
	}
	want := [4]int32{batches, together, alone, full}
	dbtest.Eventually(t, fmt.Sprintf("batches, together, alone and full are %v", want), func() bool { return got() == want })
}

func newHotShop(t *testing.T, stock int) hotShop {
	told := new(told)
	s := newShop(t, hotBatch(32), func(c *Config) { c.HotHooks = told.hooks() })
	variant := s.variant(t, 450, stock)
	s.heat(variant)
	s.store.combiner.looks.deadline = time.Minute
	return hotShop{s, variant, told}
}

// gather sends the requests so that they share one batch: a checkout ahead of them is
// made to wait for the variant's row until all of them stand in the queue. It returns
// their replies, and what came of the one ahead must be an order.
func (s hotShop) gather(t *testing.T, send ...func() reply) []reply {
	t.Helper()
	c, cart := s.newCart(t, ItemInput{s.variant, 1})
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR NO KEY UPDATE", s.variant)
	first := make(chan reply, 1)
	go func() { first <- c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "ahead") }()
	dbtest.Eventually(t, "the batch ahead waits for the variant", func() bool { return s.waiting(t) == 1 })

	replies := make([]reply, len(send))
	together(len(send)+1, func(i int) {
		if i < len(send) {
			replies[i] = send[i]()
			return
		}
		dbtest.Eventually(t, "the others stand in the queue", func() bool { return s.queued() == len(send) })
		s.exec(t, admin, "ROLLBACK")
	})
	(<-first).want(201, "")
	return replies
}

func (s hotShop) queued() int {
	c := s.store.combiner
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// waiting is how many backends wait for a lock.
func (s *shop) waiting(t *testing.T) int {
	return one[int](t, s, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// checkout is one request of gather.
func (s hotShop) checkout(t *testing.T, c *client, cart Cart, headers ...string) func() reply {
	return func() reply {
		return c.do(t, "POST", checkoutPath(cart), form(), append(headers, "Idempotency-Key", "k")...)
	}
}

// buyers makes carts with one of the variant.
func (s hotShop) buyers(t *testing.T, n int) (clients []*client, carts []Cart, sends []func() reply) {
	t.Helper()
	for range n {
		c, cart := s.newCart(t, ItemInput{s.variant, 1})
		clients, carts, sends = append(clients, c), append(carts, cart), append(sends, s.checkout(t, c, cart))
	}
	return clients, carts, sends
}

// TestABatchIsOneTransaction, in which each has its own order, and which each of them
// sees from then on: every session's token is raised to its commit.
func TestABatchIsOneTransaction(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	clients, _, sends := s.buyers(t, 10)
	for i, r := range s.gather(t, sends...) {
		order := r.want(201, "").order()
		if r.Header().Get(fresh.TokenHeader) == "" {
			t.Error("no token")
		}
		got := clients[i].do(t, "GET", "/v1/orders/"+order.ID.String(), nil).want(200, "").order()
		if diff := cmp.Diff(order, got); diff != "" {
			t.Errorf("told and read (-told +read):\n%s", diff)
		}
	}
	if n := s.transactions(t); n != 2 { // with the one ahead
		t.Errorf("%d transactions", n)
	}
	s.audit(t)
}

// TestABatchServesWhoCameFirst: five want two each of eight.
func TestABatchServesWhoCameFirst(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 9) // one is for the batch ahead
	var carts []Cart
	var clients []*client
	for range 5 {
		c, cart := s.newCart(t, ItemInput{s.variant, 2})
		clients, carts = append(clients, c), append(carts, cart)
	}
	var sends []func() reply
	for i := range clients {
		sends = append(sends, func() reply {
			dbtest.Eventually(t, "its turn to queue", func() bool { return s.queued() == i })
			return s.checkout(t, clients[i], carts[i])()
		})
	}
	replies := s.gather(t, sends...)
	for _, r := range replies[:4] {
		r.want(201, "")
	}
	var problem struct{ Lines []catalog.Shortage }
	replies[4].want(409, "insufficient_stock").decode(&problem)
	if diff := cmp.Diff([]catalog.Shortage{{VariantID: s.variant, Requested: 2}}, problem.Lines); diff != "" {
		t.Error(diff)
	}
	again := s.checkout(t, clients[4], carts[4])().want(409, "insufficient_stock")
	if again.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("the shortage was not kept under its key")
	}
	if got := clients[4].do(t, "GET", cartPath(carts[4]), nil).want(200, "").cart(); got.Status != cartOpen || got.Version != carts[4].Version {
		t.Errorf("the cart that got nothing is %s at version %d", got.Status, got.Version)
	}
	s.audit(t)
}

// TestOneFailureIsNotTheOthers puts into one batch all that may be wrong with a
// checkout, between two that are in order.
func TestOneFailureIsNotTheOthers(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	clients, carts, sends := s.buyers(t, 8)
	clients[1].do(t, "POST", checkoutPath(carts[1]), form(), "Idempotency-Key", "before").want(201, "")
	dearer := form()
	dearer.ExpectedTotal = &catalog.Money{Amount: 1, Currency: "EUR"}
	sends[2] = func() reply {
		return clients[2].do(t, "POST", checkoutPath(carts[2]), dearer, "Idempotency-Key", "k")
	}
	sends[3] = s.checkout(t, clients[3], carts[3], "If-Match", `"9"`)
	sends[4] = func() reply { // another shopper's cart
		return clients[5].do(t, "POST", checkoutPath(carts[4]), form(), "Idempotency-Key", "foreign")
	}
	busy := s.Admin(t, s.Primary())
	s.exec(t, busy, "BEGIN")
	s.exec(t, busy, "SELECT FROM carts WHERE id = $1 FOR UPDATE", carts[6].ID)

	replies := s.gather(t, sends...)
	for i, want := range []struct {
		status int
		code   string
	}{
		{201, ""},
		{409, "cart_closed"},
		{409, "price_changed"},
		{412, "version_mismatch"},
		{404, "not_found"},
		{201, ""},
		{503, "busy"},
		{201, ""},
	} {
		replies[i].want(want.status, want.code)
	}
	s.told.want(t, 3, 5, 5, 0) // with the one before, and the one ahead
	s.exec(t, busy, "ROLLBACK")

	// What was final is kept; what was not has left its key free for another request.
	if r := sends[2](); r.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("price_changed was not kept under its key")
	}
	for _, i := range []int{3, 6} {
		other := form()
		other.Email = "other@example.com"
		clients[i].do(t, "POST", checkoutPath(carts[i]), other, "Idempotency-Key", "k").want(201, "")
	}
	s.audit(t)
}

// TestABatchKnowsItsKeys: a key that was answered, one that was used for something
// else, and one that two requests in the queue have.
func TestABatchKnowsItsKeys(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	clients, carts, sends := s.buyers(t, 3)
	before := sends[0]().want(201, "")
	reused := form()
	reused.Email = "other@example.com"
	twin := *clients[2]
	replies := s.gather(t, sends[0],
		func() reply {
			return clients[1].do(t, "POST", checkoutPath(carts[1]), form(), "Idempotency-Key", "k")
		},
		sends[2], s.checkout(t, &twin, carts[2]),
	)
	s.told.want(t, 4, 6, 0, 0) // one before, one ahead, three, and the twin
	if replies[0].want(201, "").Body.String() != before.Body.String() || replies[0].Header().Get("Idempotent-Replayed") != "true" {
		t.Error("the key's answer was not replayed")
	}
	replies[1].want(201, "")
	if replies[2].want(201, "").Body.String() != replies[3].want(201, "").Body.String() {
		t.Error("one key, two orders")
	}
	s.gather(t, func() reply {
		return clients[1].do(t, "POST", checkoutPath(carts[1]), reused, "Idempotency-Key", "k")
	})[0].want(422, "idempotency_key_reused")
	s.audit(t)
}

// TestABatchThatFailsIsDoneOneByOne: the variant stays locked for longer than
// lock_timeout, twice, and nobody's key or cart is spoilt.
func TestABatchThatFailsIsDoneOneByOne(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	_, _, sends := s.buyers(t, 2)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR NO KEY UPDATE", s.variant)
	together(len(sends), func(i int) { sends[i]().want(503, "busy") })
	if n := s.told.alone.Load(); n != int32(len(sends)) {
		t.Errorf("%d went alone", n)
	}
	if err := s.told.failed.Load(); err == nil || !errors.Is(*err, ErrBusy) {
		t.Errorf("told that a batch failed with %v", err)
	}
	s.exec(t, admin, "ROLLBACK")
	for _, send := range sends {
		send().want(201, "")
	}
	s.audit(t)
}

// TestWhoLeavesTheQueueHasDoneNothing, and who leaves a batch does not know.
func TestWhoLeavesTheQueueHasDoneNothing(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	cart := s.carts(t, s.variant, 2)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR NO KEY UPDATE", s.variant)

	leave := func(at CartRef) (context.CancelFunc, chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := s.store.Checkout(ctx, keyOf(at), at, form(), answerWith[Order](201))
			failed <- err
		}()
		return cancel, failed
	}
	cancelTaken, taken := leave(cart[0])
	dbtest.Eventually(t, "the first is in a batch", func() bool { return s.waiting(t) == 1 })
	cancelWaiting, waiting := leave(cart[1])
	dbtest.Eventually(t, "the second waits for the next", func() bool { return s.queued() == 1 })
	cancelTaken()
	cancelWaiting()
	if err := <-taken; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("who left a batch was told %v", err)
	}
	if err := <-waiting; errors.Is(err, fresh.ErrCommitUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("who left the queue was told %v", err)
	}
	s.exec(t, admin, "ROLLBACK")

	answer, err := s.store.Checkout(t.Context(), keyOf(cart[0]), cart[0], form(), answerWith[Order](201))
	if err != nil || !answer.Replayed {
		t.Errorf("asked again: %+v, %v; want the order that the batch placed", answer, err)
	}
	if n := one[int](t, s.shop, "SELECT count(*) FROM orders"); n != 1 {
		t.Errorf("%d orders", n)
	}
	s.audit(t)
}

func keyOf(at CartRef) Key { return NewKey(at.Shopper, "checkout", "k", "POST", "/", nil) }

// TestAFullQueueIsBusy and does nothing.
func TestAFullQueueIsBusy(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 100)
	c := s.store.combiner
	c.running = true // and nobody works the queue off
	carts := s.carts(t, s.variant, 1)
	for range queueFactor * 32 {
		c.queue = append(c.queue, new(ticket))
	}
	if _, err := s.store.Checkout(t.Context(), keyOf(carts[0]), carts[0], form(), answerWith[Order](201)); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	if n := one[int](t, s.shop, "SELECT count(*) FROM idempotency_keys"); n != 0 {
		t.Errorf("%d keys", n)
	}
	s.told.want(t, 0, 0, 0, 1)
}

// TestAnUnknownCommitIsUnknownToAll: the server is made to stop waiting for its
// standbys, twice: for a batch, and for the one behind it. Asked again, each gets the one
// order it has.
func TestAnUnknownCommitIsUnknownToAll(t *testing.T) {
	s := newHotShop(t, 100)
	carts := s.carts(t, s.variant, 4)
	c := s.store.combiner
	s.store.config.HotBatch = len(carts) / 2
	c.running = true // and nobody works the queue off
	failed := make([]error, len(carts))
	together(len(carts)+1, func(i int) {
		if i < len(carts) {
			_, failed[i] = s.store.Checkout(t.Context(), keyOf(carts[i]), carts[i], form(), answerWith[Order](201))
			return
		}
		dbtest.Eventually(t, "all stand in the queue", func() bool { return s.queued() == len(carts) })
		for _, n := range s.Replicas() {
			t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
			dbtest.Do(t, n.Freeze)
		}
		go c.run()
		admin := s.Admin(t, s.Primary())
		dbtest.Eventually(t, "each COMMIT waits for a standby, and is made to stop", func() bool {
			s.exec(t, admin, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
				WHERE wait_event = 'SyncRep' AND datname = current_database()`)
			return s.told.batches.Load() == 2
		})
	})
	for _, n := range s.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	for i, err := range failed {
		if !errors.Is(err, fresh.ErrCommitUnknown) {
			t.Errorf("%d was told %v", i, err)
		}
		answer, err := s.store.Checkout(t.Context(), keyOf(carts[i]), carts[i], form(), answerWith[Order](201))
		if err != nil || !answer.Replayed {
			t.Errorf("%d asked again: %+v, %v; want its order", i, answer, err)
		}
	}
	if n := s.transactions(t); n != 2 {
		t.Errorf("%d transactions", n)
	}
	if err := s.told.failed.Load(); err != nil {
		t.Errorf("told that a batch failed, which is not known: %v", *err)
	}
	s.audit(t)
}

// TestTheHintKeepsNobody: each connection to the replicas is taken for good, and something
// is hot. What is in a cart is then not told, and the checkout goes alone.
func TestTheHintKeepsNobody(t *testing.T) {
	t.Parallel()
	s := newHotShop(t, 10)
	config := s.Config()
	config.ReadConns = 1
	router := s.NewRouter(t, config)
	s.store = New(db.New(router), s.store.config) // which has no patience for a hint
	s.heat(s.variant)
	at := s.carts(t, s.shop.variant(t, 450, 10), 1)[0]

	release := make(chan struct{})
	var held sync.WaitGroup
	t.Cleanup(func() { close(release); held.Wait() })
	for i := range s.Replicas() {
		held.Go(func() {
			_ = router.Snapshot(context.Background(), fresh.Bounded(5*time.Second), func(context.Context, fresh.ReadTx) error {
				<-release
				return nil
			})
		})
		dbtest.Eventually(t, "the connection is taken", func() bool { return s.taken(t) == i+1 })
	}
	failed := make(chan error, 1)
	go func() {
		_, err := s.store.Checkout(t.Context(), keyOf(at), at, form(), answerWith[Order](201))
		failed <- err
	}()
	dbtest.Eventually(t, "the checkout is done", func() bool { return len(failed) == 1 })
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// taken is how many replicas have a reader in a transaction.
func (s hotShop) taken(t *testing.T) int {
	t.Helper()
	all := 0
	for _, n := range s.Replicas() {
		conn, here := s.Admin(t, n), 0
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'leeway-read' AND state = 'idle in transaction'`).Scan(&here)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
		all += min(here, 1)
	}
	return all
}

// TestOnlyCrowdsAreHot: one after the other is cold, four at once are hot, and a second
// after the last crowd it is cold again.
func TestOnlyCrowdsAreHot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, tea := newHeat(), id.New()
		lines := []catalog.StockLine{{VariantID: tea, Quantity: 1}}
		for range 100 {
			h.enter(lines)
			h.leave(lines)
		}
		if h.any.Load() || len(h.wanted) != 0 {
			t.Error("a queue of one is hot")
		}
		for range hotFrom {
			h.enter(lines)
		}
		if !h.any.Load() || !slices.Equal(h.variants(), []id.ID{tea}) {
			t.Error("a crowd is not hot, or something else is")
		}
		time.Sleep(hotFor) // of the bubble's clock
		h.stay([]id.ID{tea, id.New()})
		time.Sleep(hotFor)
		if len(h.variants()) != 1 {
			t.Error("it did not stay hot")
		}
		time.Sleep(time.Nanosecond)
		if len(h.variants()) != 0 || h.any.Load() || len(h.until) != 0 {
			t.Error("it stays hot for ever")
		}
	})
}

// TestACrowdFindsItsOwnWay: nobody says which variant is hot.
func TestACrowdFindsItsOwnWay(t *testing.T) {
	t.Parallel()
	s := newShop(t, hotBatch(32))
	variant := s.variant(t, 450, 1000)
	carts := s.carts(t, variant, 16)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM variants WHERE id = $1 FOR NO KEY UPDATE", variant)
	together(len(carts)+1, func(i int) {
		if i == len(carts) {
			dbtest.Eventually(t, "four wait", func() bool { return s.waiting(t) >= hotFrom })
			dbtest.Eventually(t, "that is hot", s.store.combiner.heat.any.Load)
			s.exec(t, admin, "ROLLBACK")
			return
		}
		if _, err := s.store.Checkout(t.Context(), keyOf(carts[i]), carts[i], form(), answerWith[Order](201)); err != nil {
			t.Error(err)
		}
	})
	s.audit(t)
}
