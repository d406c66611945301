package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/shoppers"
)

// Primary asks every node and returns the one that takes writes, of two the one with
// the newer timeline.
func (d *Drill) Primary(ctx context.Context) (Node, error) {
	var primary Node
	var newest int64
	errs := []error{errors.New("no node takes writes")}
	for _, n := range d.config.Nodes {
		var timeline int64
		err := d.ask(ctx, n, `SELECT CASE WHEN pg_is_in_recovery() THEN 0
			ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint END`, &timeline)
		errs = append(errs, err)
		if timeline > newest {
			primary, newest = n, timeline
		}
	}
	if newest == 0 {
		return primary, errors.Join(errs...)
	}
	return primary, nil
}

func (d *Drill) ask(ctx context.Context, n Node, sql string, answer any) error {
	conn, err := connect(ctx, n)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql).Scan(answer)
}

func connect(ctx context.Context, n Node) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pgx.Connect(ctx, n.DSN("postgres"))
}

// contents waits until nothing moves any more.
func (d *Drill) contents(ctx context.Context, primary Node) (nodes []checker.Node, err error) {
	up, err := connect(ctx, primary)
	if err != nil {
		return nil, err
	}
	defer up.Close(ctx)
	if err := shoppers.AwaitRest(ctx, up); err != nil {
		return nil, err
	}
	first, err := shoppers.Contents(ctx, primary.Name, up)
	if err != nil {
		return nil, err
	}
	first.Primary = true
	nodes = append(nodes, first)
	for _, n := range d.config.Nodes {
		if n.Name == primary.Name {
			continue
		}
		node, err := standbyContents(ctx, up, n)
		if err != nil {
			return nil, fmt.Errorf("contents of %s: %w", n.Name, err)
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

func standbyContents(ctx context.Context, primary *pgx.Conn, n Node) (checker.Node, error) {
	conn, err := connect(ctx, n)
	if err != nil {
		return checker.Node{}, err
	}
	defer conn.Close(ctx)
	if err := shoppers.AwaitReplay(ctx, primary, conn); err != nil {
		return checker.Node{}, err
	}
	return shoppers.Contents(ctx, n.Name, conn)
}
