package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// errQuorum: a promotion that might lose acknowledged orders.
var errQuorum = errors.New("not every standby answers, and one that does not may have the only copy of an order")

// best returns the standby that has received most, and the other. With ANY 1 of
// two an acknowledged order is on one of them, so both must be asked (n - k + 1).
func (w *world) best(ctx context.Context) (next, other *pgcluster.Node, err error) {
	var received [2]pgcluster.LSN
	for i, n := range w.standbys() {
		status, err := n.Status(ctx)
		if err != nil || status.Role != pgcluster.RoleStandby {
			return nil, nil, fmt.Errorf("%w: %s is %s (%w)", errQuorum, n.Name(), status.Role, err)
		}
		received[i] = max(status.Received, status.LSN)
	}
	if received[1] > received[0] {
		return w.standbys()[1], w.standbys()[0], nil
	}
	return w.standbys()[0], w.standbys()[1], nil
}

// promote makes next the primary and has other follow it.
func (w *world) promote(ctx context.Context, next, other *pgcluster.Node) (promoted mark, err error) {
	if err := next.Promote(ctx); err != nil {
		return mark{}, err
	}
	promoted = w.Record.Mark()
	w.promoted = promoted.At
	w.Stamps.Follow(next.DSN("shop_owner"))
	return promoted, other.Rejoin(ctx)
}

// takeOver makes the better standby the primary, and expects writes there in time.
func (w *world) takeOver(ctx context.Context) (next *pgcluster.Node, promoted mark, err error) {
	next, other, err := w.best(ctx)
	if err != nil {
		return nil, mark{}, err
	}
	if promoted, err = w.promote(ctx, next, other); err != nil {
		return nil, mark{}, err
	}
	w.recovers(ctx, promoted, "write", recoveredWrites, taken)
	return next, promoted, nil
}

// failOver: the primary is gone for good, and the better standby takes over. The
// old one comes back as a standby and serves when it has proven itself.
func failOver(ctx context.Context, w *world) error {
	old := w.node("primary")
	shopper := w.NewCaller(500)
	cart := shopper.CreateCart(ctx, line{Variant: w.Cold[0], Quantity: 1})
	// For a moment nothing reaches the standbys. No order can be acknowledged then;
	// were one, the kill would lose it.
	began := w.Record.Mark()
	for _, link := range w.streams {
		link.BlackHole()
	}
	short, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	_ = poll(short, func() bool { return count(w.Record.Since(began), acknowledged) >= fewRefused })
	if err := old.Kill(ctx); err != nil {
		return err
	}
	w.await(ctx, began, "writes are refused", fewRefused, notNow)
	if err := w.healLinks(); err != nil {
		return err
	}
	next, promoted, err := w.takeOver(ctx)
	if err != nil {
		return err
	}
	w.await(ctx, promoted, "checkouts go on", 30, acknowledged)
	w.listsWentOn(began)
	w.bit(int64(count(w.Record.Since(began), notNow)))
	w.expectTimeline(ctx, next.Name(), 2)
	again := shopper.ReadCart(ctx, cart.Cart)
	w.expect("behaviour", again.Outcome == checker.OK && again.Source.Primary && again.Source.Reason == "timeline",
		"a token of the old timeline: %d from %+v", again.Status, again.Source)
	w.expect("behaviour", w.rewound(ctx) > 0, "no token of the old timeline was counted as history_rewound")

	if err := old.Rejoin(ctx); err != nil {
		return err
	}
	rejoined := w.Record.Mark()
	w.recovers(ctx, rejoined, "rejoined", 5*time.Second, fromNode(old.Name()))
	return nil
}

func (w *world) expectTimeline(ctx context.Context, primary string, timeline uint32) {
	for _, a := range w.Apps {
		v, err := w.Replication(ctx, a)
		w.expect("behaviour", err == nil && v.Primary != nil && v.Primary.Name == primary && v.Primary.Timeline == timeline,
			"%s takes %+v for the primary, not %s on timeline %d (%v)", a.Name, v.Primary, primary, timeline, err)
	}
}

// rewound sums a counter over the instances.
func (w *world) rewound(ctx context.Context) (n float64) {
	for _, a := range w.Apps {
		if v, err := w.Replication(ctx, a); err == nil {
			n += v.Counters["history_rewound"]
		}
	}
	return n
}

// strandedStandby: one standby stays on the dead timeline, with an LSN that is
// numerically ahead of everything that its successor writes. It must answer
// nothing.
func strandedStandby(ctx context.Context, w *world) error {
	old, next, stranded := w.node("primary"), w.node("replica-1"), w.node("replica-2")
	// What follows reaches one standby only, and is nobody's order: the shops rest.
	w.Stop()
	if err := w.awaitRest(ctx, old); err != nil {
		return err
	}
	if err := w.awaitReplay(ctx, old, next); err != nil {
		return err
	}
	w.streams[next.Name()].BlackHole()
	if err := w.exec(ctx, old, "SET synchronous_commit = local; CREATE TABLE phantom AS SELECT repeat('x', 1000) FROM generate_series(1, 8000)"); err != nil {
		return err
	}
	if err := w.awaitReplay(ctx, old, stranded); err != nil {
		return err
	}
	if err := old.Kill(ctx); err != nil {
		return err
	}
	if err := w.streams[next.Name()].Heal(); err != nil {
		return err
	}
	if err := next.Promote(ctx); err != nil {
		return err
	}
	promoted := w.Record.Mark()
	w.startLoad(ctx)
	w.Stamps.Follow(next.DSN("shop_owner"))
	if err := old.Rejoin(ctx); err != nil { // somebody must confirm
		return err
	}
	w.recovers(ctx, promoted, "write", recoveredWrites+4*time.Second, taken) // with the rewind in it
	w.expectTimeline(ctx, next.Name(), 2)                                    // until then they could not know that it is dead
	known := w.Record.Mark()
	w.await(ctx, known, "checkouts go on", 60, acknowledged)
	w.await(ctx, known, "the other standby answers", fewBrowse, fromNode(old.Name()))
	ahead, err := w.ask(ctx, stranded, "SELECT pg_last_wal_replay_lsn() - '0/0'")
	if err != nil {
		return err
	}
	now, err := w.ask(ctx, next, "SELECT pg_current_wal_flush_lsn() - '0/0'")
	if err != nil {
		return err
	}
	w.expect("behaviour", ahead > now, "the stranded standby is not ahead: %d against %d", ahead, now)
	w.bit(int64(count(w.Record.Since(known), isRead)))
	served := count(w.Record.Since(known), fromNode(stranded.Name()))
	w.expect("eligible", served == 0, "%d reads were served on the dead timeline", served)
	return nil
}

// splitBrain: a standby is promoted while the old primary lives, and one instance
// sees only the old side. That side can acknowledge nothing, because both standbys
// were taken from it first; the other instance follows the higher timeline, raises
// the alarm, and never goes back.
func splitBrain(ctx context.Context, w *world) error {
	old := w.node("primary")
	blind, seeing := w.Apps[0], w.Apps[1]
	w.ProbeAt.Store(seeing) // the blind one cannot know that it is behind
	w.await(ctx, w.Record.Mark(), "a probe by the other instance", 2, func(op checker.Op) bool { return op.Kind == checker.ReadProbe })
	for _, n := range w.standbys() {
		w.streams[n.Name()].BlackHole()
		w.link(blind, n).BlackHole()
	}
	next, other, err := w.best(ctx)
	if err != nil {
		return err
	}
	for _, n := range w.standbys() {
		if err := w.streams[n.Name()].Heal(); err != nil {
			return err
		}
		w.streams[n.Name()].Retarget(next.Addr()) // nobody streams from the old one any more
	}
	promoted, err := w.promote(ctx, next, other)
	if err != nil {
		return err
	}
	w.recovers(ctx, promoted, "write", recoveredWrites, taken)
	w.await(ctx, promoted, "checkouts on the new side", 30, acknowledged)
	w.await(ctx, promoted, "the old side is refused", fewRefused, func(op checker.Op) bool { return op.App == blind.Name && notNow(op) })
	w.bit(int64(count(w.Record.Since(promoted), func(op checker.Op) bool { return op.App == blind.Name && notNow(op) })))
	acks := count(w.Record.Since(promoted), func(op checker.Op) bool { return op.App == blind.Name && taken(op) })
	w.expect("split", acks == 0, "the old side acknowledged %d transactions after the promotion", acks)
	w.awaitThat(ctx, "the alarm", func() bool {
		v, err := w.Replication(ctx, seeing)
		return err == nil && v.Alarm("split_brain")
	})
	healed := w.Record.Mark()
	for _, n := range w.standbys() {
		if err := w.link(blind, n).Heal(); err != nil {
			return err
		}
	}
	w.recovers(ctx, healed, "blind side", recoveredWrites, func(op checker.Op) bool { return op.App == blind.Name && taken(op) })
	w.expectTimeline(ctx, next.Name(), 2)
	return old.Kill(ctx)
}

// quorumOverlap: with ANY 1 of two the standby that does not answer may be the
// only one that has an order. The runbook refuses to promote the other; with both
// in reach it is allowed.
func quorumOverlap(ctx context.Context, w *world) error {
	old, silent := w.node("primary"), w.node("replica-2")
	if err := silent.Freeze(ctx); err != nil {
		return err
	}
	m := w.Record.Mark()
	w.await(ctx, m, "orders that one standby has", 10, acknowledged)
	w.bit(int64(count(w.Record.Since(m), acknowledged)))
	if err := old.Kill(ctx); err != nil {
		return err
	}
	_, _, err := w.best(ctx)
	w.expect("behaviour", errors.Is(err, errQuorum), "a promotion was allowed without replica-2 (%v)", err)
	if err := silent.Thaw(ctx); err != nil {
		return err
	}
	_, _, err = w.takeOver(ctx)
	return err
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

// rejoinWithoutRewind: the old primary, with a row that nobody else has, is started
// as a standby as it is. It shows that row, and its LSN is above the fork: it must
// answer nothing until it was rejoined properly.
func rejoinWithoutRewind(ctx context.Context, w *world) error {
	old := w.node("primary")
	began := w.Record.Mark()
	for _, link := range w.streams {
		link.BlackHole()
	}
	if err := w.exec(ctx, old, "SET synchronous_commit = local; CREATE TABLE phantom AS SELECT repeat('x', 1000) FROM generate_series(1, 8000)"); err != nil {
		return err
	}
	if err := old.Kill(ctx); err != nil {
		return err
	}
	if err := w.healLinks(); err != nil {
		return err
	}
	if _, _, err := w.takeOver(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.cluster.Dir(), old.Name(), "standby.signal"), nil, 0o644); err != nil {
		return err
	}
	if err := old.Start(ctx); err != nil {
		return err
	}
	phantom, err := w.ask(ctx, old, "SELECT count(*) FROM pg_class WHERE relname = 'phantom' AND pg_is_in_recovery()")
	if err != nil {
		return err
	}
	w.bit(phantom)
	started := w.Record.Mark()
	w.await(ctx, started, "checkouts go on", 40, acknowledged)
	w.await(ctx, started, "browsing goes on", 4*fewBrowse, isBrowsing)
	served := count(w.Record.Since(started), fromNode(old.Name()))
	w.expect("eligible", served == 0, "%d reads were served by a node that was not rewound", served)
	w.listsWentOn(began)
	if err := old.Rejoin(ctx); err != nil {
		return err
	}
	w.recovers(ctx, w.Record.Mark(), "rejoined", 5*time.Second, fromNode(old.Name()))
	return nil
}
