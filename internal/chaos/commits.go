package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/shoppers"
)

// The faults of a COMMIT: cut, swallowed, its process killed, its standby missing,
// its client gone.

func outcomeUnknown(op checker.Op) bool { return op.Code == "outcome_unknown" }

// commitInDoubt: the answer to a COMMIT is lost on the way, or the COMMIT itself.
func commitInDoubt(ctx context.Context, w *world) error {
	const each = 5
	primary := w.node("primary")
	began := w.Record.Mark()
	for _, a := range w.Apps {
		link := w.link(a, primary)
		link.CutBeforeCommit(each)
		link.CutAfterCommit(each)
		link.SwallowCommitAnswer(2)
		w.awaitThat(ctx, "every COMMIT that was to be cut is cut", func() bool {
			c := link.Counts()
			return c.CutBefore >= each && c.CutAfter >= each && c.Swallowed >= 2
		})
		c := link.Counts()
		w.bit(c.CutBefore + c.CutAfter + c.Swallowed)
	}
	w.await(ctx, began, "clients are told of the doubt", 4*each, outcomeUnknown)
	healed := w.Record.Mark()
	if err := w.eachLink(primary, (*faults.PGLink).Heal); err != nil {
		return err
	}
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	return nil
}

// appKilled: an instance dies at each point of a COMMIT: before the server has it,
// before its answer is back, and before the client has its answer. The other one
// answers the same key.
func appKilled(ctx context.Context, w *world) error {
	for _, at := range []faults.Stage{faults.Arrived, faults.Forwarded, faults.Delivered} {
		if err := w.killAt(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) killAt(ctx context.Context, at faults.Stage) error {
	victim := w.Apps[0]
	hit := make(chan struct{})
	var once sync.Once
	plan := faults.Plan{At: func(stage faults.Stage) {
		if stage == at {
			victim.Kill()
			once.Do(func() { close(hit) })
		}
	}}
	if at == faults.Arrived {
		plan.Fault = faults.CutBefore // what was sent would still be executed
	}
	link := w.link(victim, w.node("primary"))
	began := w.Record.Mark()
	link.Plan(plan)
	select {
	case <-hit:
		w.bit(1)
	case <-time.After(w.waitLimit):
		w.expect("behaviour", false, "no COMMIT %s", at)
		victim.Kill()
	}
	w.await(ctx, began, "the other instance takes checkouts", 20, acknowledged)
	if err := victim.Start(ctx); err != nil {
		return err
	}
	return w.awaitReady(ctx, victim)
}

// cancelledWait: somebody cancels COMMITs that wait for a standby. The server then
// shows the rows and answers success with a warning; nobody may be told 201 for
// them, not even who asks again, because the next failover loses them.
func cancelledWait(ctx context.Context, w *world) error {
	old := w.node("primary")
	buyers, carts, err := w.fullCarts(ctx, 6)
	if err != nil {
		return err
	}
	for _, link := range w.streams {
		link.BlackHole() // what is sent from now on is lost with the primary
	}
	frozen := w.Record.Mark()
	for i, c := range buyers {
		w.Go(func() { c.Checkout(ctx, carts[i]) })
	}
	cancelled, err := w.cancelWaits(ctx, old, len(buyers))
	if err != nil {
		return err
	}
	w.bit(cancelled)
	w.await(ctx, frozen, "clients ask again, until they are refused", 4, func(op checker.Op) bool {
		return op.Kind == checker.Checkout && op.Code == "no_synchronous_standby"
	})
	if err := old.Kill(ctx); err != nil {
		return err
	}
	if err := w.healLinks(); err != nil {
		return err
	}
	_, _, err = w.takeOver(ctx)
	return err
}

// fullCarts are ready to be checked out.
func (w *world) fullCarts(ctx context.Context, n int) (buyers []*caller, carts []string, err error) {
	for i := range n {
		c := w.NewCaller(600 + i)
		cart := c.CreateCart(ctx, line{Variant: w.Cold[i], Quantity: 1})
		if cart.Outcome != checker.OK {
			return nil, nil, fmt.Errorf("no cart: %d %s", cart.Status, cart.Code)
		}
		buyers, carts = append(buyers, c), append(carts, cart.Cart)
	}
	return buyers, carts, nil
}

// cancelWaits cancels COMMITs that wait for a standby, of the shop alone, until it
// was n of them.
func (w *world) cancelWaits(ctx context.Context, primary *pgcluster.Node, n int) (cancelled int64, err error) {
	conn, err := w.connect(ctx, primary)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	w.awaitThat(ctx, "COMMITs that wait are cancelled", func() bool {
		var now int64
		err := conn.QueryRow(ctx, `WITH waiting AS MATERIALIZED (SELECT pid FROM pg_stat_activity
			WHERE wait_event = 'SyncRep' AND application_name = 'leeway-write')
			SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM waiting`).Scan(&now)
		cancelled += now
		return err == nil && cancelled >= int64(n)
	})
	return cancelled, nil
}

// retryStorm: the same key fifty times at once, and then five times the clients.
func retryStorm(ctx context.Context, w *world) error {
	const twins, carts = 50, 4
	for i := range carts {
		c := w.NewCaller(300 + i)
		cart := c.CreateCart(ctx, line{Variant: w.Cold[i], Quantity: 1})
		if cart.Outcome != checker.OK {
			return fmt.Errorf("no cart: %d %s", cart.Status, cart.Code)
		}
		before := w.Record.Mark()
		var all sync.WaitGroup
		for j := range twins {
			twin := c.Twin(1000 + 100*i + j)
			all.Go(func() { twin.CheckoutOnce(ctx, cart.Cart, "storm-"+cart.Cart) })
		}
		all.Wait()
		ops := w.Record.Since(before)
		mine := func(op checker.Op) bool { return op.Key == "storm-"+cart.Cart }
		first := count(ops, func(op checker.Op) bool { return mine(op) && acknowledged(op) && !op.Replayed })
		w.expect("behaviour", first <= 1, "%d of %d twins were told that theirs is the first", first, twins)
		for _, op := range ops {
			if mine(op) && !acknowledged(op) {
				w.expect("behaviour", op.Status == 409 || op.Status == 503, "a twin was answered %d %s", op.Status, op.Code)
			}
		}
		w.bit(int64(count(ops, func(op checker.Op) bool { return mine(op) && op.Replayed })))
	}
	return w.fiveTimesTheLoad(ctx)
}

func (w *world) fiveTimesTheLoad(ctx context.Context) error {
	storm, calm := context.WithCancel(ctx)
	for id := range 4 * shoppers.Clients {
		w.Go(func() { w.Shop(storm, 2000+id) })
	}
	m := w.Record.Mark()
	w.await(ctx, m, "checkouts go on", 150, acknowledged)
	calm()
	w.recovers(ctx, w.Record.Mark(), "write", recoveredWrites, taken)
	return nil
}
