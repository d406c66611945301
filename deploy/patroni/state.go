package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/drill"
	"example.com/leeway/internal/shoppers"
	"example.com/leeway/migrations"
)

// dsn is how a role reaches a database of a node.
func (c *cluster) dsn(m *member, role, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, c.passwords[role]),
		Host: fmt.Sprintf("127.0.0.1:%d", m.port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// drillNodes are the nodes as the shop sees them.
func (c *cluster) drillNodes() (nodes []drill.Node) {
	for _, m := range c.nodes {
		nodes = append(nodes, drill.Node{Name: m.name, DSN: func(role string) string { return c.dsn(m, role, "shop") }})
	}
	return nodes
}

// connect opens a superuser's connection.
func (c *cluster) connect(ctx context.Context, m *member, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return pgx.Connect(ctx, c.dsn(m, "postgres", database))
}

// leader is the node that takes writes, of two the one on the newer timeline; nil: none
// does.
func (c *cluster) leader(ctx context.Context) (leader *member) {
	newest := int64(0)
	for _, m := range c.nodes {
		conn, err := c.connect(ctx, m, "postgres")
		if err != nil {
			continue
		}
		var timeline int64
		err = conn.QueryRow(ctx, `SELECT CASE WHEN pg_is_in_recovery() THEN 0
			ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint END`).Scan(&timeline)
		conn.Close(ctx)
		if err == nil && timeline > newest {
			leader, newest = m, timeline
		}
	}
	return leader
}

// awaitLeader waits until another node than the old leader takes writes.
func (c *cluster) awaitLeader(ctx context.Context, old *member) (leader *member, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = shoppers.Poll(ctx, func() bool {
		leader = c.leader(ctx)
		return leader != nil && leader != old
	})
	if err != nil {
		return nil, fmt.Errorf("nobody has become the leader within %v", limit)
	}
	return leader, nil
}

// standbys counts those that stream from the leader, and names those that its commits
// wait for.
func (c *cluster) standbys(ctx context.Context, leader *member) (streaming int, confirming []string, err error) {
	conn, err := c.connect(ctx, leader, "postgres")
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'streaming'),
		coalesce(array_agg(application_name) FILTER (WHERE sync_state IN ('sync', 'quorum')), '{}')
		FROM pg_stat_replication`).Scan(&streaming, &confirming)
	return streaming, confirming, err
}

// makeShop creates the shop's database and roles on the leader, as README says it for
// servers of one's own.
func (c *cluster) makeShop(ctx context.Context) error {
	leader := c.leader(ctx)
	if leader == nil {
		return errors.New("there is no leader")
	}
	conn, err := c.connect(ctx, leader, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE shop"); err != nil {
		return err
	}
	shop, err := c.connect(ctx, leader, "shop")
	if err != nil {
		return err
	}
	defer shop.Close(ctx)
	sql := []string{migrations.RolesSQL}
	for _, role := range migrations.Roles {
		sql = append(sql, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", role, c.passwords[role]))
	}
	_, err = shop.PgConn().Exec(ctx, strings.Join(sql, ";\n")).ReadAll()
	return err
}
