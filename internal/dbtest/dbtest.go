// Package dbtest gives tests a real primary with two real standbys: one
// throw-away cluster for each test package, and in it one database for each
// test, cloned from a migrated template. Databases are never dropped or
// emptied: replaying that takes locks on the standbys and would cancel the
// reads of other tests.
//
// Faults touch the whole cluster, so tests that make one must not run in
// parallel with others of their package.
package dbtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/migrations"
)

const (
	replicas   = 2
	startLimit = 2 * time.Minute
	// Limit bounds every wait of a test for something that must happen. It is
	// generous: a slow machine may be late, a broken program never arrives.
	Limit = 30 * time.Second
)

var shared struct {
	once    sync.Once
	cluster *pgcluster.Cluster
	err     error
	clones  atomic.Int32
	clone   sync.Mutex // CREATE DATABASE wants its template for itself
}

// Main runs the tests of a package and removes its cluster: call it from
// TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has something of its own to remove; it returns the
// exit code.
func Run(m *testing.M) int {
	flag.Parse()
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "dbtest:", err)
			code = max(code, 1)
		}
	}
	return code
}

// Config is the cluster that tests run on. fsync is off: the faults that tests
// make kill processes, and what a process has written survives that in the
// page cache.
func Config() pgcluster.Config {
	return pgcluster.Config{
		Replicas: replicas,
		Roles:    migrations.Roles,
		InitSQL:  migrations.RolesSQL,
		Settings: map[string]string{"fsync": "off", "autovacuum_naptime": "1h"},
	}
}

// Cluster returns the package's cluster, started on first use.
func Cluster(tb testing.TB) *pgcluster.Cluster {
	tb.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = Start(Config()) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster
}

// Start starts a cluster and migrates its database.
func Start(config pgcluster.Config) (*pgcluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cluster, err := pgcluster.Start(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := migrations.Up(ctx, cluster.Nodes()[0].DSN("shop_owner")); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate: %w", err), cluster.Close())
	}
	return cluster, nil
}

// Env is one test's own database on a cluster.
type Env struct {
	Cluster *pgcluster.Cluster
	Router  *fresh.Router
	DB      *db.DB

	database string
}

// New returns a new database on the package's cluster, behind a router with
// default settings.
func New(tb testing.TB) *Env {
	tb.Helper()
	return clone(tb, Cluster(tb))
}

// NewOn is New on a cluster of the test's own, for faults or settings that the
// shared one cannot take. The cluster is closed when the test ends.
func NewOn(tb testing.TB, config pgcluster.Config) *Env {
	tb.Helper()
	cluster, err := Start(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			tb.Error(err)
		}
	})
	return clone(tb, cluster)
}

// NewEmpty returns a new database on the package's cluster that has no schema yet, as
// if somebody had made it for the shop. There is no router before it.
func NewEmpty(tb testing.TB) *Env {
	tb.Helper()
	env := create(tb, Cluster(tb), "template1")
	if _, err := env.Admin(tb, env.Primary()).Exec(context.Background(), migrations.RolesSQL); err != nil {
		tb.Fatal(err)
	}
	env.CatchUp(tb)
	return env
}

func create(tb testing.TB, cluster *pgcluster.Cluster, template string) *Env {
	tb.Helper()
	env := &Env{Cluster: cluster, database: fmt.Sprintf("test_%d", shared.clones.Add(1))}
	shared.clone.Lock()
	defer shared.clone.Unlock()
	admin := connect(tb, env.Cluster.Nodes()[0].DSN("postgres"), "postgres")
	_, err := admin.Exec(context.Background(), "CREATE DATABASE "+env.database+" TEMPLATE "+template+" OWNER shop_owner")
	if err != nil {
		tb.Fatal(err)
	}
	return env
}

func clone(tb testing.TB, cluster *pgcluster.Cluster) *Env {
	tb.Helper()
	env := create(tb, cluster, "shop")
	env.CatchUp(tb)
	env.Router = env.NewRouter(tb, env.Config())
	env.DB = db.New(env.Router)
	return env
}

// Config returns the router's configuration for the test's database.
func (e *Env) Config() fresh.Config {
	var config fresh.Config
	for _, n := range e.Cluster.Nodes() {
		config.Nodes = append(config.Nodes, fresh.NodeConfig{
			Name: n.Name(), WriteDSN: e.DSN(n, "shop_rw"), ReadDSN: e.DSN(n, "shop_ro"),
		})
	}
	return config
}

// NewRouter starts a router that lives as long as the test, and waits until it
// knows the primary and has sampled every node.
func (e *Env) NewRouter(tb testing.TB, config fresh.Config) *fresh.Router {
	tb.Helper()
	router, err := fresh.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { CloseRouter(tb, router) })
	Eventually(tb, "the router knows every node", func() bool {
		status := router.Status()
		known := status.Writable
		for _, n := range status.Nodes {
			known = known && n.Up && n.Bound >= 0
		}
		return known
	})
	return router
}

// CloseRouter closes a router; a test that left a COMMIT waiting fails.
func CloseRouter(tb testing.TB, router *fresh.Router) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	if err := router.Close(ctx); err != nil {
		tb.Errorf("close the router: %v", err)
	}
}

// DSN returns a node's connection string for the test's database.
func (e *Env) DSN(n *pgcluster.Node, role string) string {
	return inDatabase(n.DSN(role), e.database)
}

func inDatabase(dsn, database string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // pgcluster made it
	}
	u.Path = "/" + database
	return u.String()
}

// Admin returns a superuser's connection to the test's database on a node.
func (e *Env) Admin(tb testing.TB, n *pgcluster.Node) *pgx.Conn {
	tb.Helper()
	return connect(tb, n.DSN("postgres"), e.database)
}

func connect(tb testing.TB, dsn, database string) *pgx.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, inDatabase(dsn, database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Primary is the node that was the primary at first.
func (e *Env) Primary() *pgcluster.Node { return e.Cluster.Nodes()[0] }

// Replicas are the others.
func (e *Env) Replicas() []*pgcluster.Node { return e.Cluster.Nodes()[1:] }

// CatchUp waits until every standby has replayed what the primary has now.
func (e *Env) CatchUp(tb testing.TB) {
	tb.Helper()
	for _, n := range e.Replicas() {
		e.CatchUpNode(tb, n)
	}
}

// CatchUpNode waits until one standby has.
func (e *Env) CatchUpNode(tb testing.TB, n *pgcluster.Node) {
	tb.Helper()
	catchUp(tb, e.Primary(), n)
}

func catchUp(tb testing.TB, primary, n *pgcluster.Node) {
	tb.Helper()
	var target string
	query(tb, connect(tb, primary.DSN("postgres"), "postgres"), "SELECT pg_current_wal_flush_lsn()::text", &target)
	await(tb, n, n.Name()+" catches up", "SELECT coalesce(pg_last_wal_replay_lsn() >= '"+target+"', false)")
}

func query(tb testing.TB, conn *pgx.Conn, sql string, dest any) {
	tb.Helper()
	if err := conn.QueryRow(context.Background(), sql).Scan(dest); err != nil {
		tb.Fatal(err)
	}
}

// Pause stops replay on the given standbys, all of them when none is given,
// until the test ends or Resume is called. It returns when replay stands still.
func (e *Env) Pause(tb testing.TB, nodes ...*pgcluster.Node) {
	tb.Helper()
	if len(nodes) == 0 {
		nodes = e.Replicas()
	}
	for _, n := range nodes {
		tb.Cleanup(func() { e.Resume(tb, n) })
		Do(tb, n.PauseReplay)
	}
}

// Resume lets replay go on.
func (e *Env) Resume(tb testing.TB, nodes ...*pgcluster.Node) {
	tb.Helper()
	if len(nodes) == 0 {
		nodes = e.Replicas()
	}
	for _, n := range nodes {
		Do(tb, n.ResumeReplay)
	}
}

// linkSeed is fixed: what a test asserts must not depend on jitter.
const linkSeed = 1

// Link stands before target until the test ends.
func Link(tb testing.TB, target string) *faults.Link {
	tb.Helper()
	link, err := faults.NewLink(target, linkSeed)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(link.Close)
	return link
}

// Do runs a verb of a node, and fails the test if it fails.
func Do(tb testing.TB, verb func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	if err := verb(ctx); err != nil {
		tb.Fatal(err)
	}
}

// Eventually polls until what is so, and fails the test after Limit. It is for
// conditions that the test has caused, never for giving something time.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	within(tb, Limit, what, holds)
}

// Started is Eventually for a program that makes a cluster first, which a busy machine
// may not do within Limit: as Start it may take startLimit.
func Started(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	within(tb, startLimit, what, holds)
}

func within(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond) // the poll's period
	}
}
