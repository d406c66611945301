package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/pgcluster"
)

// settle brings every node back into the cluster and waits until nothing moves:
// what is then on the nodes is what the run has left.
func (w *world) settle(ctx context.Context) error {
	if err := w.healLinks(); err != nil {
		return err
	}
	for _, n := range w.cluster.Nodes() {
		if err := n.Thaw(ctx); err != nil {
			return err
		}
	}
	primary, err := w.cluster.Primary(ctx)
	if err != nil {
		return err
	}
	for _, n := range w.cluster.Nodes() {
		if n != primary {
			if err := w.bringBack(ctx, n); err != nil {
				return err
			}
		}
	}
	if err := w.awaitRest(ctx, primary); err != nil {
		return err
	}
	for _, n := range w.cluster.Nodes() {
		if n != primary {
			if err := w.awaitReplay(ctx, primary, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) healLinks() error {
	for _, link := range w.toDB {
		if err := link.Heal(); err != nil {
			return err
		}
	}
	for _, link := range w.streams {
		if err := link.Heal(); err != nil {
			return err
		}
	}
	return nil
}

// bringBack makes a standby stream and replay.
func (w *world) bringBack(ctx context.Context, n *pgcluster.Node) error {
	status, err := n.Status(ctx)
	if err != nil {
		return err
	}
	if status.Role == pgcluster.RoleDown {
		if err := n.Start(ctx); err != nil {
			return err
		}
		if status, err = n.Status(ctx); err != nil {
			return err
		}
	}
	if status.ReplayPaused {
		if err := n.ResumeReplay(ctx); err != nil {
			return err
		}
	}
	streams := func() bool {
		status, err := n.Status(ctx)
		return err == nil && status.Streaming
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if status.Role == pgcluster.RoleStandby && poll(short, streams) == nil {
		return nil
	}
	return n.Rejoin(ctx)
}

// awaitRest waits until no transaction of the shop is under way.
func (w *world) awaitRest(ctx context.Context, primary *pgcluster.Node) error {
	conn, err := w.connect(ctx, primary)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var busy int
	err = poll(ctx, func() bool {
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'leeway-write' AND state <> 'idle'`).Scan(&busy)
		return err == nil && busy == 0
	})
	if err != nil {
		return fmt.Errorf("%d transactions are still under way: %w", busy, err)
	}
	return nil
}

func (w *world) awaitReplay(ctx context.Context, primary, standby *pgcluster.Node) error {
	up, err := w.connect(ctx, primary)
	if err != nil {
		return err
	}
	defer up.Close(ctx)
	down, err := w.connect(ctx, standby)
	if err != nil {
		return err
	}
	defer down.Close(ctx)
	var target string
	if err := up.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&target); err != nil {
		return err
	}
	err = poll(ctx, func() bool {
		var reached bool
		err := down.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", target).Scan(&reached)
		return err == nil && reached
	})
	if err != nil {
		return fmt.Errorf("%s does not catch up: %w", standby.Name(), err)
	}
	return nil
}

// asked is the history without what the nodes hold.
func (w *world) asked() checker.History {
	return checker.History{
		Deadline: min(requestTimeout, w.clientPatience), Slack: slack,
		Stock: w.initial, Ops: w.record.all(), Stamps: w.record.stamps,
	}
}

// history collects what the check needs, at rest.
func (w *world) history(ctx context.Context) (checker.History, error) {
	h := w.asked()
	primary, err := w.cluster.Primary(ctx)
	if err != nil {
		return h, err
	}
	for _, n := range append([]*pgcluster.Node{primary}, w.cluster.Nodes()...) {
		if n == primary && len(h.Nodes) > 0 {
			continue
		}
		node, err := w.contents(ctx, n)
		if err != nil {
			return h, fmt.Errorf("contents of %s: %w", n.Name(), err)
		}
		node.Primary = n == primary
		h.Nodes = append(h.Nodes, node)
	}
	return h, nil
}

// slack is what the deadline of a request does not cover: the way there and back,
// on two cores that servers, shops and clients share.
const slack = 250 * time.Millisecond

// contentsSQL returns each part of a node as one JSON document, in one snapshot.
const contentsSQL = `SELECT json_build_object(
'orders', (SELECT coalesce(json_agg(json_build_object('id', o.id, 'cart', o.cart_id, 'number', 'LW-' || lpad(o.number::text, 6, '0'),
		'version', o.version, 'total', o.total, 'lines', (
			SELECT json_agg(json_build_object('variant', l.variant_id, 'quantity', l.quantity, 'unit_price', l.unit_price) ORDER BY l.variant_id)
			FROM order_lines l WHERE l.order_id = o.id)) ORDER BY o.id), '[]') FROM orders o),
'keys', (SELECT coalesce(json_agg(json_build_object('key', key, 'status', coalesce(status, 0),
		'order', CASE WHEN status = 201 THEN convert_from(response, 'UTF8')::json ->> 'id' ELSE '' END)), '[]') FROM idempotency_keys),
'stock', (SELECT json_object_agg(id, stock_quantity) FROM variants),
'movements', (SELECT json_agg(json_build_object('order', coalesce(order_id::text, ''), 'variant', variant_id, 'kind', kind, 'delta', delta))
	FROM stock_movements WHERE kind <> 'initial'),
'carts_open', (SELECT json_object_agg(id, status) FROM carts)
)`

func (w *world) contents(ctx context.Context, n *pgcluster.Node) (checker.Node, error) {
	conn, err := w.connect(ctx, n)
	if err != nil {
		return checker.Node{}, err
	}
	defer conn.Close(ctx)
	var text []byte
	if err := conn.QueryRow(ctx, contentsSQL).Scan(&text); err != nil {
		return checker.Node{}, err
	}
	node := checker.Node{}
	err = json.Unmarshal(text, &node)
	node.Name = n.Name()
	return node, err
}

// connect opens a superuser's connection past all links; the caller closes it.
func (w *world) connect(ctx context.Context, n *pgcluster.Node) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pgx.Connect(ctx, n.DSN("postgres"))
}

func (w *world) exec(ctx context.Context, n *pgcluster.Node, sql string) error {
	conn, err := w.connect(ctx, n)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// ask returns one number.
func (w *world) ask(ctx context.Context, n *pgcluster.Node, sql string, args ...any) (int64, error) {
	conn, err := w.connect(ctx, n)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var v int64
	err = conn.QueryRow(ctx, sql, args...).Scan(&v)
	return v, err
}
