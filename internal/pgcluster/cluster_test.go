package pgcluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

// fast is for servers whose data nobody needs after a power cut.
var fast = map[string]string{"fsync": "off", "shared_buffers": "16MB"}

func start(t *testing.T, cfg pgcluster.Config) *pgcluster.Cluster {
	t.Helper()
	if cfg.Roles == nil {
		cfg.Roles = []string{"shop_owner", "shop_ro"}
	}
	cfg.Settings = fast
	began := time.Now()
	cfg.Progress = func(step string) { t.Logf("%5.2f s: %s", time.Since(began).Seconds(), step) }
	c, err := pgcluster.Start(ctx(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// ctx bounds a whole test, so that a hang shows where.
func ctx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func node(t *testing.T, c *pgcluster.Cluster, name string) *pgcluster.Node {
	t.Helper()
	n, err := c.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// query returns the one value of a query.
func query[T any](t *testing.T, n *pgcluster.Node, role, sql string, args ...any) T {
	t.Helper()
	v, err := tryQuery[T](ctx(t), n, role, sql, args...)
	if err != nil {
		t.Fatalf("%s on %s: %v", sql, n.Name(), err)
	}
	return v
}

func tryQuery[T any](ctx context.Context, n *pgcluster.Node, role, sql string, args ...any) (v T, err error) {
	conn, err := pgx.Connect(ctx, n.DSN(role))
	if err != nil {
		return v, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, sql, args...).Scan(&v)
	return v, err
}

func execSQL(t *testing.T, n *pgcluster.Node, role, sql string) {
	t.Helper()
	conn, err := pgx.Connect(ctx(t), n.DSN(role))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx(t), sql); err != nil {
		t.Fatalf("%s on %s: %v", sql, n.Name(), err)
	}
}

func do(t *testing.T, verb func(context.Context) error) {
	t.Helper()
	if err := verb(ctx(t)); err != nil {
		t.Fatal(err)
	}
}

// waitFor polls until ok; the deadline is the test's own.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	c := ctx(t)
	for !ok() {
		select {
		case <-c.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStartStreamsSynchronously(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 2, InitSQL: "CREATE TABLE planted (n int); GRANT SELECT ON planted TO shop_ro"})
	primary := node(t, c, "primary")
	got := query[int](t, primary, "postgres", "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'")
	if got != 2 {
		t.Errorf("%d standbys in the quorum, want 2", got)
	}
	execSQL(t, primary, "shop_owner", "CREATE SCHEMA mine")
	for _, name := range []string{"replica-1", "replica-2"} {
		replica := node(t, c, name)
		if !query[bool](t, replica, "shop_ro", "SELECT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM planted)") {
			t.Errorf("%s is no standby", name)
		}
		st, err := replica.Status(ctx(t))
		if err != nil || st.Role != pgcluster.RoleStandby || !st.Streaming || st.SyncState != "quorum" || st.Timeline != 1 || st.Pid == 0 {
			t.Errorf("status of %s: %+v, %v", name, st, err)
		}
	}
	if p, err := c.Primary(ctx(t)); err != nil || p != primary {
		t.Errorf("Primary = %v, %v", p, err)
	}
}
