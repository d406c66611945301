package main

import (
	"context"
	"syscall"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/shoppers"
)

// The faults of the primary and of the links to it. Browsing goes on; what needs
// the primary is refused or in doubt, and no doubt becomes a second order or a
// lost one.

const (
	recoveredWrites = 3 * time.Second
	// fewRefused is enough refusals to see that they are told.
	fewRefused = 5
)

func notNow(op checker.Op) bool { return op.Status == 503 || op.Status == 504 }

// primaryKilled: it comes back by itself, after crash recovery.
func primaryKilled(ctx context.Context, w *world) error {
	primary := w.node("primary")
	return w.primaryGone(ctx, primary.Kill, primary.Start)
}

// primaryFrozen: it accepts connections and answers nothing, whatever it was about
// to do. Nobody waits for it beyond a deadline (which the checker looks at).
func primaryFrozen(ctx context.Context, w *world) error {
	primary := w.node("primary")
	return w.primaryGone(ctx, primary.Freeze, primary.Thaw)
}

// primaryGone: nobody takes over.
func (w *world) primaryGone(ctx context.Context, begin, end func(context.Context) error) error {
	began := w.Record.Mark()
	if err := begin(ctx); err != nil {
		return err
	}
	w.await(ctx, began, "writes are refused", fewRefused, notNow)
	w.await(ctx, began, "browsing goes on", fewBrowse, isBrowsing)
	w.bit(int64(count(w.Record.Since(began), notNow)))
	w.listsWentOn(began)
	healed := w.Record.Mark()
	if err := end(ctx); err != nil {
		return err
	}
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	w.await(ctx, healed, "checkouts go on", 20, acknowledged)
	return nil
}

// backendKilled: one backend dies, and the server ends all the others to recover.
func backendKilled(ctx context.Context, w *world) error {
	primary := w.node("primary")
	began := w.Record.Mark()
	pid, err := w.ask(ctx, primary, "SELECT pid FROM pg_stat_activity WHERE application_name = 'leeway-write' LIMIT 1")
	if err != nil {
		return err
	}
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		return err
	}
	w.await(ctx, began, "clients feel it", 1, func(op checker.Op) bool { return unknown(op) || notNow(op) })
	w.bit(int64(count(w.Record.Since(began), func(op checker.Op) bool { return unknown(op) || notNow(op) })))
	w.recovers(ctx, began, "write", 5*time.Second, func(op checker.Op) bool { return taken(op) && op.Call > began.At+50*time.Millisecond })
	w.await(ctx, w.Record.Mark(), "checkouts go on", 30, acknowledged)
	w.listsWentOn(began)
	return nil
}

// primaryCutOff: the shops lose their way to the primary, which lives. Browsing
// is answered by replicas, and labelled once its age cannot be proven; a session
// is served where a replica proves its token.
func primaryCutOff(ctx context.Context, w *world) error {
	primary := w.node("primary")
	owners, carts, err := w.fullCarts(ctx, 4)
	if err != nil {
		return err
	}
	began := w.Record.Mark()
	if err := w.eachLink(primary, func(l *faults.PGLink) error { l.BlackHole(); return nil }); err != nil {
		return err
	}
	w.await(ctx, began, "what is too old says so", fewBrowse, func(op checker.Op) bool { return op.Source != nil && op.Source.Stale })
	w.await(ctx, began, "writes are refused", fewRefused, notNow)
	ops := w.Record.Since(began)
	w.bit(int64(count(ops, notNow)))
	w.expect("behaviour", count(ops, func(op checker.Op) bool {
		return op.Source != nil && op.Source.Stale && op.TokenIn.LSN > 0 && !isBrowsing(op)
	}) == 0,
		"a session was answered with something stale")
	w.listsWentOn(began)
	for i, owner := range owners {
		op := owner.ReadCart(ctx, carts[i])
		w.expect("behaviour", fromReplica(op), "a cart that a replica can prove was answered %d from %+v", op.Status, op.Source)
	}
	healed := w.Record.Mark()
	if err := w.eachLink(primary, (*faults.PGLink).Heal); err != nil {
		return err
	}
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	return nil
}

// primaryPostmasterFrozen: sessions answer and no new one is let in. What the shops
// have connected goes on.
func primaryPostmasterFrozen(ctx context.Context, w *world) error {
	primary := w.node("primary")
	began := w.Record.Mark()
	if err := primary.FreezeProcess(ctx, pgcluster.Postmaster); err != nil {
		return err
	}
	w.await(ctx, began, "checkouts go on", 50, acknowledged)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := w.connect(short, primary); err != nil {
		w.bit(1)
	}
	w.listsWentOn(began)
	return primary.Thaw(ctx)
}

// readOnlyForAWhile: the sessions of the role that writes become read-only, as a
// managed service does it before a demotion or when its disk is full, and then no
// more. Sessions from the time between stay read-only for as long as they live: a
// pool that keeps them fails long after the cause is gone.
func readOnlyForAWhile(ctx context.Context, w *world) error {
	primary := w.node("primary")
	began := w.Record.Mark()
	if err := w.exec(ctx, primary, "ALTER ROLE shop_rw SET default_transaction_read_only = on"); err != nil {
		return err
	}
	if err := w.exec(ctx, primary, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leeway-write' AND wait_event IS DISTINCT FROM 'SyncRep'"); err != nil {
		return err
	}
	w.await(ctx, began, "every write is refused", 4*shoppers.Clients, notNow)
	w.bit(int64(count(w.Record.Since(began), notNow)))
	w.listsWentOn(began)
	if err := w.exec(ctx, primary, "ALTER ROLE shop_rw RESET default_transaction_read_only"); err != nil {
		return err
	}
	healed := w.Record.Mark()
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	again := w.Record.Mark()
	w.await(ctx, again, "checkouts go on", 20, acknowledged)
	refused := count(w.Record.Since(again), notNow)
	w.expect("recovery", refused == 0, "%d requests met sessions of the time before", refused)
	return nil
}
