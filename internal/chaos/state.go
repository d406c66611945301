package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/shoppers"
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
	return shoppers.AwaitRest(ctx, conn)
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
	if err := shoppers.AwaitReplay(ctx, up, down); err != nil {
		return fmt.Errorf("%s does not catch up: %w", standby.Name(), err)
	}
	return nil
}

// asked is the history without what the nodes hold.
func (w *world) asked() checker.History { return w.Asked(requestTimeout) }

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

func (w *world) contents(ctx context.Context, n *pgcluster.Node) (checker.Node, error) {
	conn, err := w.connect(ctx, n)
	if err != nil {
		return checker.Node{}, err
	}
	defer conn.Close(ctx)
	return shoppers.Contents(ctx, n.Name(), conn)
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
