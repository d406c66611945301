package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/pgcluster"
)

// Promotions, and what must not become of them: a second primary that is believed, a
// standby of a dead timeline that answers, an order that is lost.

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
	w.startLoad(ctx)
	w.Stamps.Follow(next.DSN("shop_owner"))
	if err := old.Rejoin(ctx); err != nil { // somebody must confirm
		return err
	}
	rejoined := w.Record.Mark()
	w.recovers(ctx, rejoined, "write", recoveredWrites, taken)
	w.expectTimeline(ctx, next.Name(), 2) // until then they could not know that it is dead
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
