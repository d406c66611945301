package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

// noStandby: nobody confirms, so nothing new is accepted and nothing is shown that
// nobody has; and the clients whose COMMIT waits hang up. Nothing cancels it.
func noStandby(ctx context.Context, w *world) error {
	primary := w.node("primary")
	began := w.Record.Mark()
	frozen, err := w.commitsWait(ctx, primary)
	if err != nil {
		return err
	}
	w.awaitThat(ctx, "clients hang up on a COMMIT", func() bool {
		return count(w.Record.AnsweredSince(frozen), unknown) >= 2
	})
	w.await(ctx, frozen, "checkouts are refused at once", 20, withCode("no_synchronous_standby"))
	w.await(ctx, frozen, "browsing goes on", fewBrowse, isBrowsing)
	if err := w.expectReplicated(ctx, primary); err != nil {
		return err
	}
	cancels := int64(0)
	for _, a := range w.Apps {
		cancels += w.link(a, primary).Counts().CommitCancels // one for a read that took too long is no harm
	}
	w.expect("unreplicated", cancels == 0, "%d CancelRequests were sent for a COMMIT", cancels)
	w.bit(int64(count(w.Record.Since(frozen), withCode("no_synchronous_standby"))))
	w.expectQuickRefusals(frozen)
	w.browsingWentOn(began)
	healed := w.Record.Mark()
	if err := w.thawStandbys(ctx); err != nil {
		return err
	}
	w.recovers(ctx, healed, "write", recoveredWrites, taken)
	return nil
}

const commitsThatWait = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'leeway-write'`

// commitsWait has the standbys receive nothing, until COMMITs of two clients wait for
// them. After a second in which nothing was confirmed the shop lets none begin: on a
// machine so busy that there were fewer by then, everybody goes on and it is done again.
// The mark is from before the fault: who hung up on a COMMIT may have done so already.
func (w *world) commitsWait(ctx context.Context, primary *pgcluster.Node) (mark, error) {
	for range 20 {
		frozen := w.Record.Mark()
		for _, n := range w.standbys() {
			if err := n.FreezeProcess(ctx, pgcluster.WALReceiver); err != nil {
				return frozen, err
			}
		}
		w.awaitThat(ctx, "COMMITs wait, or are not sent any more", func() bool {
			n, err := w.ask(ctx, primary, commitsThatWait)
			return err == nil && n >= 2 || count(w.Record.AnsweredSince(frozen), withCode("no_synchronous_standby")) > 0
		})
		// Whoever waits goes on waiting: to look once more is not too late.
		if n, err := w.ask(ctx, primary, commitsThatWait); n >= 2 || err != nil {
			return frozen, err
		}
		if err := w.thawStandbys(ctx); err != nil {
			return frozen, err
		}
		w.await(ctx, w.Record.Mark(), "writes go on", 10, taken)
	}
	return mark{}, errors.New("never do two COMMITs wait for a standby")
}

func (w *world) thawStandbys(ctx context.Context) error {
	return each(w.standbys(), func(n *pgcluster.Node) error { return n.Thaw(ctx) })
}

// expectReplicated: each order that the primary shows is on a standby, which replays what
// it has received, if not at once.
func (w *world) expectReplicated(ctx context.Context, primary *pgcluster.Node) error {
	shown, err := w.orders(ctx, primary)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, w.waitLimit)
	defer cancel()
	lost := len(shown)
	_ = poll(short, func() bool {
		var replicated []string
		for _, n := range w.standbys() {
			ids, err := w.orders(ctx, n)
			if err != nil {
				return false
			}
			replicated = append(replicated, ids...)
		}
		slices.Sort(replicated)
		lost = 0
		for _, id := range shown {
			if _, there := slices.BinarySearch(replicated, id); !there {
				lost++
			}
		}
		return lost == 0
	}) // what comes of it is expected next
	w.expect("unreplicated", lost == 0, "%d orders are visible that no standby has", lost)
	return nil
}

// orders are the ids of those that a node shows.
func (w *world) orders(ctx context.Context, n *pgcluster.Node) ([]string, error) {
	conn, err := w.connect(ctx, n)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id::text FROM orders")
	if err != nil {
		return nil, fmt.Errorf("orders of %s: %w", n.Name(), err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// expectQuickRefusals: half of those who were refused since m knew it soon.
func (w *world) expectQuickRefusals(m mark) {
	var took []time.Duration
	for _, op := range w.Record.Since(m) {
		if op.Code == "no_synchronous_standby" {
			took = append(took, op.Return-op.Call)
		}
	}
	slices.Sort(took)
	if len(took) > 0 {
		w.expect("behaviour", took[len(took)/2] < 250*time.Millisecond, "refusals took %v and more", took[len(took)/2])
	}
}
