package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/guardian"
	"example.com/leeway/internal/load"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/shoppers"
	"example.com/leeway/migrations"
)

// world is a cluster of a primary and two standbys, any one of which a commit waits for,
// and the shops on it.
type world struct {
	options
	out     io.Writer
	began   time.Time
	dir     string
	root    string // of the module
	bin     string // folder of PostgreSQL's programs
	cluster *pgcluster.Cluster
	crowd   *shoppers.Crowd // starts and stops the shops; nobody of it shops here
	guard   *guardian.Guardian
	filled  map[string]bool
	carts   int64 // the last one that was made
}

// settings are those of every server beside pgcluster's own. All of the largest catalog
// fits into memory; disks are waited for (fsync is on). [capture] reads the log.
var settings = map[string]string{
	"shared_buffers": "512MB", "max_connections": "400", "max_wal_size": "8GB", "log_line_prefix": "[%a] ",
}

// newWorld starts no server: parts that need none are not made to wait for it.
func newWorld(ctx context.Context, o options, out io.Writer) (*world, error) {
	w := &world{options: o, out: out, began: time.Now(), filled: map[string]bool{}, carts: firstCart}
	var err error
	if w.bin, err = pgcluster.FindBin(ctx); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(filepath.Join(w.bin, "pgbench")); err != nil {
		return nil, fmt.Errorf("pgbench is not beside the server's programs: %w", err)
	}
	if w.root, err = shoppers.ModuleRoot(ctx); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "leeway-bench-"); err != nil {
		return nil, err
	}
	w.guard, err = guardian.Start(ctx, w.dir)
	w.crowd = shoppers.New(1, 10*time.Second)
	return w, err
}

// close stops and removes everything that was started.
func (w *world) close() (err error) {
	w.crowd.Close()
	if w.cluster != nil {
		err = w.cluster.Close()
	}
	w.guard.Dismiss()
	return errors.Join(err, os.RemoveAll(w.dir))
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.out, "%6.1f s  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// start starts the servers and builds the shop, once.
func (w *world) start(ctx context.Context) (err error) {
	if w.cluster != nil {
		return nil
	}
	w.say("building the shop")
	if err := shoppers.Build(ctx, w.root, w.binary()); err != nil {
		return err
	}
	w.say("starting a primary and two standbys")
	w.cluster, err = pgcluster.Start(ctx, pgcluster.Config{
		Replicas: 2, Roles: migrations.Roles, InitSQL: migrations.RolesSQL, Settings: settings,
	})
	return err
}

func (w *world) binary() string { return filepath.Join(w.dir, "shop") }

// dsn leads a role to a database of a node.
func dsn(n *pgcluster.Node, role, database string) string {
	u, err := url.Parse(n.DSN(role))
	if err != nil {
		panic(err) // pgcluster made it
	}
	u.Path = "/" + database
	return u.String()
}

func (w *world) primary() *pgcluster.Node { return w.cluster.Nodes()[0] }

// nodesEnv is what a shop of that database on those nodes is configured with.
func nodesEnv(database string, nodes []*pgcluster.Node) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.Name()+"="+dsn(n, "shop_rw", database))
	}
	reader, _ := url.Parse(nodes[0].DSN("shop_ro"))
	password, _ := reader.User.Password()
	return []string{"SHOP_NODES=" + strings.Join(list, ","), "SHOP_READ_USER=shop_ro", "SHOP_READ_PASSWORD=" + password}
}

// fill makes a database with so many products, once, and returns how long that took.
func (w *world) fill(ctx context.Context, products int) (database string, took time.Duration, err error) {
	if err := w.start(ctx); err != nil {
		return "", 0, err
	}
	database = "shop_" + strconv.Itoa(products)
	if w.filled[database] {
		return database, 0, nil
	}
	w.say("making a catalog of %d products", products)
	if err := w.exec(ctx, "postgres", "CREATE DATABASE "+database+" OWNER shop_owner"); err != nil {
		return "", 0, err
	}
	if err := w.exec(ctx, database, migrations.RolesSQL); err != nil {
		return "", 0, err
	}
	if _, err := migrations.Up(ctx, dsn(w.primary(), "shop_owner", database)); err != nil {
		return "", 0, err
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, w.binary(), "seed", "--products", strconv.Itoa(products))
	cmd.Env = append(os.Environ(), nodesEnv(database, w.cluster.Nodes()[:1])...)
	// One statement may take longer than shop_rw gives it when the machine is busy.
	cmd.Env = append(cmd.Env, "SHOP_NODES=primary="+dsn(w.primary(), "shop_rw", database)+"&options=-c%20statement_timeout%3D0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", 0, fmt.Errorf("shop seed: %w\n%s", err, out)
	}
	took = time.Since(start)
	w.say("  took %.1f s", took.Seconds())
	w.filled[database] = true
	return database, took, w.settle(ctx, database)
}

// settle leaves no work for later that one measurement would do for the next: hint bits,
// statistics, dirty pages, replay.
func (w *world) settle(ctx context.Context, database string) error {
	if err := w.letGo(ctx, database); err != nil {
		return err
	}
	if err := w.exec(ctx, database, "VACUUM ANALYZE"); err != nil {
		return err
	}
	if err := w.exec(ctx, database, "CHECKPOINT"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return shoppers.Poll(ctx, func() bool {
		lag := 1
		err := w.query(ctx, database, `SELECT count(*) FILTER (WHERE replay_lsn < pg_current_wal_flush_lsn() OR replay_lsn IS NULL)
			FROM pg_stat_replication`, nil, &lag)
		return err == nil && lag == 0
	})
}

// letGo waits until the standbys no longer need what has been replaced so far. They tell
// that once a second (hot_standby_feedback), and what is replaced in the last one VACUUM
// would leave: on a standby each scan then passes it anew, for there it is never marked
// dead. The newest products are the last ones to be loaded, and the first ones of the list.
func (w *world) letGo(ctx context.Context, database string) error {
	var now string
	if err := w.query(ctx, database, "SELECT pg_current_xact_id()::xid::text", nil, &now); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return shoppers.Poll(ctx, func() bool {
		held := 1
		err := w.query(ctx, database, "SELECT count(*) FROM pg_replication_slots WHERE age(xmin) >= age($1::xid)", []any{now}, &held)
		return err == nil && held == 0
	})
}

func (w *world) exec(ctx context.Context, database, sql string) error {
	return w.execOn(ctx, w.primary(), database, sql)
}

// execOn runs statements as a superuser.
func (w *world) execOn(ctx context.Context, n *pgcluster.Node, database, sql string) error {
	conn, err := pgx.Connect(ctx, dsn(n, "postgres", database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err = conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%.60s: %w", sql, err)
	}
	return nil
}

// query asks for one row of the primary as a superuser.
func (w *world) query(ctx context.Context, database, sql string, args []any, into ...any) error {
	conn, err := pgx.Connect(ctx, dsn(w.primary(), "postgres", database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql, args...).Scan(into...)
}

// open starts a shop on the primary and so many of the standbys, and waits until one of
// them answers its readers. The caller stops the App.
func (w *world) open(ctx context.Context, name, database string, standbys int, env ...string) (*shoppers.App, *shop, error) {
	env = append(nodesEnv(database, w.cluster.Nodes()[:1+standbys]), env...)
	app := w.crowd.NewApp(name, w.binary(), w.dir, append(env, "SHOP_PAYMENT_WINDOW=24h")...)
	if err := app.Start(ctx); err != nil {
		return nil, nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	u, err := url.Parse(app.URL())
	if err != nil {
		return nil, nil, err
	}
	var last string
	err = shoppers.Poll(waiting, func() bool {
		conn, err := load.DialLean(waiting, u.Host)
		if err != nil {
			return false
		}
		defer conn.Close()
		ready, err := conn.Do(load.Request("GET", "/readyz", ""))
		last = fmt.Sprintf("%d %s", ready.Status, ready.Body)
		if err != nil || !strings.Contains(last, `"ready"`) {
			return false
		}
		a, err := conn.Do(load.Request("GET", "/v1/products", ""))
		last = fmt.Sprintf("%d %s", a.Status, a.Source)
		return err == nil && (standbys == 0 || strings.HasPrefix(string(a.Source), "replica;"))
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the shop is not ready, its last answer was %s: %w", last, err)
	}
	s, err := look(ctx, app.URL())
	return app, s, err
}
