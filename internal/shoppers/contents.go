package shoppers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/seed"
)

const (
	products     = 120
	hotVariants  = 60
	coldVariants = 24
)

// Fill loads a small catalog through a primary, in which the hot variants are short.
// The schema is there already.
func (c *Crowd) Fill(ctx context.Context, primary fresh.NodeConfig) error {
	in := seed.Generate(products, 1)
	c.Probe = in.Products[0].Slug
	c.Initial = map[string]int{}
	for i := range in.Products {
		for j := range in.Products[i].Variants {
			v := &in.Products[i].Variants[j]
			v.Stock = coldStock
			id := v.ID.String()
			switch {
			case i == 0: // the probe's own
			case len(c.Hot) < hotVariants:
				v.Stock = hotStock
				c.Hot = append(c.Hot, id)
			case len(c.Cold) < coldVariants:
				c.Cold = append(c.Cold, id)
			}
			c.Initial[id] = v.Stock
		}
	}
	router, err := fresh.New(fresh.Config{Nodes: []fresh.NodeConfig{primary}})
	if err != nil {
		return err
	}
	if err := router.AwaitPrimary(ctx); err != nil {
		return errors.Join(err, router.Close(ctx))
	}
	err = catalog.New(db.New(router), catalog.DefaultConfig()).Load(ctx, in, catalog.LoadOptions{})
	return errors.Join(err, router.Close(ctx))
}

// Asked is the history so far, without what the nodes hold. deadline is that of a
// request.
func (c *Crowd) Asked(deadline time.Duration) checker.History {
	return checker.History{
		Deadline: min(deadline, c.ClientPatience), Slack: slack,
		Stock: c.Initial, Ops: c.Record.All(), Stamps: c.Record.Stamps(),
	}
}

// slack is what the deadline of a request does not cover: the way there and back,
// on two cores that servers, shops and clients share.
const slack = 250 * time.Millisecond

// AwaitRest waits until no transaction of the shop is under way on the primary.
func AwaitRest(ctx context.Context, primary *pgx.Conn) error {
	busy := 0
	err := Poll(ctx, func() bool {
		err := primary.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'leeway-write' AND state <> 'idle'`).Scan(&busy)
		return err == nil && busy == 0
	})
	if err != nil {
		return errors.Join(errors.New("transactions of the shop are still under way"), err)
	}
	return nil
}

// AwaitReplay waits until the standby has replayed what the primary has now.
func AwaitReplay(ctx context.Context, primary, standby *pgx.Conn) error {
	var target string
	if err := primary.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&target); err != nil {
		return err
	}
	return Poll(ctx, func() bool {
		var reached bool
		err := standby.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", target).Scan(&reached)
		return err == nil && reached
	})
}

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

// Contents is what a node holds. The connection is a superuser's.
func Contents(ctx context.Context, name string, conn *pgx.Conn) (checker.Node, error) {
	var text []byte
	if err := conn.QueryRow(ctx, contentsSQL).Scan(&text); err != nil {
		return checker.Node{}, err
	}
	node := checker.Node{}
	err := json.Unmarshal(text, &node)
	node.Name = name
	return node, err
}
