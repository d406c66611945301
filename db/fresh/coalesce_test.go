package fresh_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// A kiosk has readers of one key, whose reads its tests let go.
type kiosk struct {
	*bench
	registry *prometheus.Registry
	*fresh.Coalescer[int]
	policy fresh.Policy
	reads  chan *paused // those that have begun
}

// paused is a read that has seen the counter, and waits to be let go.
type paused struct {
	ctx context.Context
	end chan error
}

func newKiosk(t *testing.T) *kiosk {
	k := &kiosk{registry: prometheus.NewRegistry(), policy: fresh.Bounded(time.Hour), reads: make(chan *paused)}
	k.bench = setup(t, func(c *fresh.Config) { c.Metrics = k.registry })
	k.Coalescer = fresh.NewCoalescer[int](k.router)
	k.BePatient()
	k.awaitReplica(t, k.policy)
	return k
}

// look reads the counter, and returns when it is let go or its readers have left.
func (k *kiosk) look(ctx context.Context) (n int, err error) {
	h := &paused{ctx, make(chan error)}
	err = k.router.Reader(k.policy).QueryRow(ctx, readCounter).Scan(&n)
	select {
	case k.reads <- h:
	case <-ctx.Done(): // a test has failed
		return 0, ctx.Err()
	}
	select {
	case end := <-h.end:
		return n, errors.Join(err, end)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// reader is one who asks.
type reader struct {
	n       int
	served  fresh.Served
	session *fresh.Carrier
	err     error
	leave   context.CancelFunc
	done    chan struct{}
}

// ask asks in the background.
func (k *kiosk) ask(t *testing.T, token fresh.Position) *reader {
	ctx, session := session(t, token)
	ctx, leave := context.WithCancel(ctx)
	r := &reader{session: session, leave: leave, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.n, r.err = k.Do(ctx, k.policy, "counter", k.look)
		r.served, _ = session.Served()
	}()
	return r
}

// gather has so many more wait for a round; the first of them leads it.
func (k *kiosk) gather(t *testing.T, tokens ...fresh.Position) (readers []*reader) {
	t.Helper()
	for _, token := range tokens {
		readers = append(readers, k.ask(t, token))
		n := len(readers)
		dbtest.Eventually(t, "another waits", func() bool { return k.Waiting("counter") == n })
	}
	return readers
}

// round has so many gather behind a read ahead, lets that go, and returns the read that has
// begun for them.
func (k *kiosk) round(t *testing.T, tokens ...fresh.Position) (readers []*reader, begun *paused) {
	t.Helper()
	ahead := k.ask(t, nobody)
	first := k.begun(t)
	readers = k.gather(t, tokens...)
	first.end <- nil
	ahead.wait(t)
	return readers, k.begun(t)
}

// begun returns the read that has begun.
func (k *kiosk) begun(t *testing.T) *paused {
	t.Helper()
	select {
	case h := <-k.reads:
		return h
	case <-time.After(dbtest.Limit):
		t.Fatal("no read has begun")
		return nil
	}
}

func (r *reader) wait(t *testing.T) *reader {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(dbtest.Limit):
		t.Fatal("a reader has no answer")
	}
	return r
}

// finished checks that nothing is left of the crowd.
func (k *kiosk) finished(t *testing.T) {
	t.Helper()
	dbtest.Eventually(t, "nobody is left", func() bool { return k.Crowds() == 0 })
}

var nobody fresh.Position

// Who comes during a read is answered by the next one, all by the same: what they get was
// read after they asked, and what the one ahead saw is too old for them.
func TestWhoAsksTogetherHasOneAnswer(t *testing.T) {
	k := newKiosk(t)
	early := k.ask(t, nobody)
	first := k.begun(t)
	late := k.gather(t, nobody, nobody, nobody, nobody)
	k.add(t)
	k.CatchUp(t)
	first.end <- nil
	if early.wait(t); early.n != 0 || early.err != nil {
		t.Errorf("the first was told %d, %v", early.n, early.err)
	}
	k.begun(t).end <- nil
	for i, r := range late {
		if r.wait(t); r.n != 1 || r.err != nil || r.served.Primary || r.served.Node == "" {
			t.Errorf("reader %d was told %d, %v by %+v; want 1, of a replica", i, r.n, r.err, r.served)
		}
	}
	if n := sumOf(t, k.registry, "leeway_coalesced_total", ""); n != 3 {
		t.Errorf("%v answers were another's; want 3", n)
	}
	k.finished(t)
}

// serve lets another router read: its samples begin now, so that its budget covers whatever
// was written before, for an hour.
func (k *kiosk) serve(t *testing.T, p fresh.Policy, adjust ...func(*fresh.Config)) {
	t.Helper()
	config := k.Config()
	for _, f := range adjust {
		f(&config)
	}
	router, err := fresh.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dbtest.CloseRouter(t, router) })
	k.router, k.policy, k.Coalescer = router, p, fresh.NewCoalescer[int](router)
	k.BePatient()
}

// covered waits until the budget makes a read see what was written at pos.
func (k *kiosk) covered(t *testing.T, pos fresh.Position) {
	t.Helper()
	dbtest.Eventually(t, "the budget covers the write", func() bool {
		ctx, _ := session(t, pos)
		return k.router.WithinBudget(ctx, k.policy)
	})
}

// When replicas lag beyond the budget, who has a token reads alone, on the primary. The
// others are told what they would be told alone, that the answer is stale, whoever of them
// reads: nobody catches another's token, and the places on the primary are not for them.
func TestATokenIsNotCatching(t *testing.T) {
	k := newKiosk(t)
	k.Pause(t)
	token := k.add(t)
	k.serve(t, fresh.Bounded(time.Hour).Else(fresh.ServeStale))
	k.covered(t, token)
	for _, tokens := range [][]fresh.Position{{nobody, token, nobody}, {token, nobody, nobody}} {
		readers, round := k.round(t, tokens...)
		round.end <- nil
		k.begun(t).end <- nil // of who has the token
		for i, r := range readers {
			r.wait(t)
			_, raised := r.session.Token()
			if tokens[i] == nobody && (r.n != 0 || !r.served.Stale || raised || r.err != nil) {
				t.Errorf("who has no token was told %d, %+v, token raised: %v, %v; want what is stale", r.n, r.served, raised, r.err)
			}
			if tokens[i] == token && (r.n != 1 || r.served.Reason != fresh.ReasonToken || r.err != nil) {
				t.Errorf("who has one was told %d, %+v, %v; want their own write, of the primary", r.n, r.served, r.err)
			}
		}
		k.finished(t)
	}
}

// A token that the budget covers takes part.
func TestATokenWithinTheBudgetTakesPart(t *testing.T) {
	k := newKiosk(t)
	token := k.add(t)
	k.CatchUp(t)
	k.serve(t, fresh.Bounded(time.Hour), func(c *fresh.Config) { c.Metrics = prometheus.NewRegistry() })
	k.covered(t, token)
	k.awaitReplica(t, k.policy)
	readers, round := k.round(t, nobody, token)
	round.end <- nil
	for _, r := range readers {
		if r.wait(t); r.n != 1 || r.err != nil || r.served.Primary {
			t.Errorf("a reader was told %d, %+v, %v", r.n, r.served, r.err)
		}
	}
	for name, p := range map[string]fresh.Policy{
		"session": fresh.Session().Within(time.Hour), "any": fresh.Any().Within(time.Hour), "strong": fresh.Strong().Within(time.Hour),
	} {
		ctx, _ := session(t, token)
		if !k.router.WithinBudget(ctx, k.policy) || k.router.WithinBudget(ctx, p) {
			t.Errorf("%s: reads of a session are said to be nothing but bounded", name)
		}
	}
	ctx, _ := session(t, fresh.Position{Timeline: token.Timeline + 1, LSN: 1})
	if k.router.WithinBudget(ctx, k.policy) {
		t.Error("a budget is said to cover what was written on another timeline")
	}
}

// Whose request writes while it waits reads again: what was proven no longer is for them.
func TestWhoWritesMeanwhileReadsAgain(t *testing.T) {
	k := newKiosk(t)
	readers, round := k.round(t, nobody, nobody)
	writer := readers[1]
	err := k.router.Write(fresh.WithCarrier(t.Context(), writer.session), func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, addOne)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	round.end <- nil
	k.begun(t).end <- nil
	if writer.wait(t); writer.n != 1 || writer.err != nil {
		t.Errorf("who wrote meanwhile was told %d, %v", writer.n, writer.err)
	}
	if other := readers[0].wait(t); other.n != 0 || other.err != nil {
		t.Errorf("the other was told %d, %v", other.n, other.err)
	}
}

// Without a Coalescer everybody reads alone.
func TestNobodySharesWithoutACoalescer(t *testing.T) {
	k := newKiosk(t)
	k.Coalescer = nil
	one, two := k.ask(t, nobody), k.ask(t, nobody)
	first, second := k.begun(t), k.begun(t)
	first.end <- nil
	second.end <- nil
	one.wait(t)
	two.wait(t)
}

// Who demands more than the budget, or what no budget promises, waits for nobody.
func TestWhoJustWroteReadsAlone(t *testing.T) {
	k := newKiosk(t)
	first := k.ask(t, nobody)
	ahead := k.begun(t)
	token := k.add(t)
	writer := k.ask(t, token)
	k.begun(t).end <- nil // while the one ahead is still at it
	if writer.wait(t); writer.n != 1 || writer.err != nil {
		t.Errorf("who wrote was told %d, %v", writer.n, writer.err)
	}
	ahead.end <- nil
	first.wait(t)
	k.finished(t)
}

// A client that leaves, the one that reads for the others as well, takes nothing from them.
func TestWhoLeavesARoundKeepsNobody(t *testing.T) {
	k := newKiosk(t)
	readers, round := k.round(t, nobody, nobody, nobody)
	leader, follower, last := readers[0], readers[1], readers[2]
	leader.leave()
	follower.leave()
	if follower.wait(t); !errors.Is(follower.err, context.Canceled) {
		t.Errorf("who left was told %v", follower.err)
	}
	if err := round.ctx.Err(); err != nil {
		t.Fatalf("the read ended with who left: %v", err)
	}
	round.end <- nil
	if last.wait(t); last.err != nil {
		t.Errorf("who stayed was told %v", last.err)
	}
	leader.wait(t)
	k.finished(t)
}

// A read that nobody waits for any more ends.
func TestARoundEndsWithItsReaders(t *testing.T) {
	k := newKiosk(t)
	readers, round := k.round(t, nobody, nobody, nobody)
	for _, r := range readers {
		r.leave()
	}
	select {
	case <-round.ctx.Done():
	case <-time.After(dbtest.Limit):
		t.Error("the read goes on for nobody")
	}
	for _, r := range readers {
		if r.wait(t); !errors.Is(r.err, context.Canceled) {
			t.Errorf("who left was told %v", r.err)
		}
	}
	k.finished(t)
}

// One failure is everybody's: to repeat it for each would help nobody. A panic is of the
// request in which it is reported, and the others read for themselves.
func TestARoundThatFails(t *testing.T) {
	k := newKiosk(t)
	readers, round := k.round(t, nobody, nobody)
	failure := errors.New("no such thing")
	round.end <- failure
	for _, r := range readers {
		if r.wait(t); !errors.Is(r.err, failure) {
			t.Errorf("a reader was told %v", r.err)
		}
	}
	k.finished(t)

	ahead := k.ask(t, nobody)
	first := k.begun(t)
	recovered := make(chan any, 1)
	go func() {
		defer func() { recovered <- recover() }()
		_, _ = k.Do(t.Context(), k.policy, "counter", func(context.Context) (int, error) { panic("a bug") })
	}()
	dbtest.Eventually(t, "one with a bug waits", func() bool { return k.Waiting("counter") == 1 })
	follower := k.ask(t, nobody)
	dbtest.Eventually(t, "another waits", func() bool { return k.Waiting("counter") == 2 })
	first.end <- nil
	ahead.wait(t)
	if v := <-recovered; v != "a bug" {
		t.Errorf("the panic became %v", v)
	}
	k.begun(t).end <- nil
	if follower.wait(t); follower.err != nil {
		t.Errorf("who was beside it was told %v", follower.err)
	}
	k.finished(t)
}

// A read that hangs holds up its own readers and, but for a moment, nobody else.
func TestARoundDoesNotWaitForOneThatHangs(t *testing.T) {
	k := newKiosk(t)
	k.Coalescer = fresh.NewCoalescer[int](k.router) // as patient as it is
	hanging := k.ask(t, nobody)
	first := k.begun(t)
	second := k.ask(t, nobody)
	k.begun(t).end <- nil
	if second.wait(t); second.err != nil {
		t.Error(second.err)
	}
	first.end <- nil
	hanging.wait(t)
	k.finished(t)
}

// Whoever asks is told what was read since: here of a clock that each of them moves.
func TestNobodyIsToldWhatWasReadBefore(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := setup(t, func(c *fresh.Config) { c.Metrics = registry })
	c, policy := fresh.NewCoalescer[int64](b.router), fresh.Bounded(time.Hour)
	var clock atomic.Int64
	read := func(ctx context.Context) (int64, error) {
		now := clock.Load()
		var n int
		return now, b.router.Reader(policy).QueryRow(ctx, readCounter).Scan(&n)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 100 {
				ctx, _ := session(t, nobody)
				asked := clock.Add(1)
				told, err := c.Do(ctx, policy, []string{"a", "b"}[i%2], read)
				if err != nil || told < asked {
					t.Errorf("who asked at %d was told what was read at %d, %v", asked, told, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := sumOf(t, registry, "leeway_coalesced_total", ""); n == 0 {
		t.Error("nobody had another's answer, in 1600 reads of two keys by sixteen")
	}
	if c.Crowds() != 0 {
		t.Error("somebody is left")
	}
}
