package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/shoppers"
	"example.com/leeway/migrations"
)

// A world is what one scenario runs in: a cluster of its own with two instances of
// the shop, each a process, a link on every wire between them, and who shops there.
type world struct {
	*shoppers.Crowd
	seed uint64
	keep bool   // also the history of a run that went well
	dir  string // logs, and the history of a run that failed

	cluster *pgcluster.Cluster
	toDB    map[string]*faults.PGLink // by "app/node"
	streams map[string]*faults.Link   // replication, by standby
	linking sync.Mutex

	promoted time.Duration // when a standby was made the primary; 0: not yet
	// waitLimit bounds every wait for something that a fault must cause.
	waitLimit time.Duration

	result
}

// The budgets and limits that the shop runs under here. They are shorter than the
// defaults, so that a fault shows, and is over, within seconds.
const (
	requestTimeout = 2 * time.Second
	browseBudget   = time.Second
	sessionBudget  = 500 * time.Millisecond
	fallbackConns  = 3
)

// newWorld starts everything; on an error it leaves nothing behind.
func newWorld(ctx context.Context, o options, s scenario, dir string) (w *world, err error) {
	w = &world{
		Crowd: shoppers.New(o.Seed, requestTimeout), seed: o.Seed, keep: o.Keep, dir: dir,
		toDB: map[string]*faults.PGLink{}, streams: map[string]*faults.Link{},
		waitLimit: o.waitLimit, result: newResult(s),
	}
	if s.hangUp > 0 {
		w.ClientPatience = s.hangUp
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := w.startCluster(ctx, s); err != nil {
		return w, err
	}
	primary := w.node("primary")
	err = w.Fill(ctx, fresh.NodeConfig{Name: "primary", WriteDSN: primary.DSN("shop_rw"), ReadDSN: primary.DSN("shop_ro")})
	if err != nil {
		return w, err
	}
	if s.prepare != "" {
		if err := w.exec(ctx, w.node("primary"), s.prepare); err != nil {
			return w, fmt.Errorf("prepare: %w", err)
		}
	}
	return w, w.startApps(ctx, o)
}

func (w *world) startCluster(ctx context.Context, s scenario) (err error) {
	config := pgcluster.Config{
		Replicas: 2, Async: s.async, Roles: migrations.Roles, InitSQL: migrations.RolesSQL,
		Upstream: w.upstream,
		Settings: map[string]string{
			// The faults kill processes, and what those have written survives that.
			"fsync": "off", "autovacuum_naptime": "1h", "wal_receiver_timeout": "60s",
		},
	}
	for name, value := range s.settings {
		config.Settings[name] = value
	}
	if w.cluster, err = pgcluster.Start(ctx, config); err != nil {
		return err
	}
	_, err = migrations.Up(ctx, w.node("primary").DSN("shop_owner"))
	return err
}

// upstream puts a link between a standby and whom it follows.
func (w *world) upstream(standby, primary string) string {
	w.linking.Lock() // standbys are made side by side
	defer w.linking.Unlock()
	link := w.streams[standby]
	if link == nil {
		var err error
		if link, err = faults.NewLink(primary, w.seed); err != nil {
			panic(err) // no port is free
		}
		w.streams[standby] = link
	}
	link.Retarget(primary)
	link.Reset() // whoever it follows now, it is to ask the new one
	return link.Addr()
}

func (w *world) startApps(ctx context.Context, o options) error {
	for i, name := range []string{"app-a", "app-b"} {
		nodes, reader, err := w.nodesFor(name)
		if err != nil {
			return err
		}
		password, _ := reader.Password()
		a := w.NewApp(name, o.binary, w.dir,
			"SHOP_NODES="+nodes, "SHOP_READ_USER="+reader.Username(), "SHOP_READ_PASSWORD="+password,
			"SHOP_REQUEST_TIMEOUT="+requestTimeout.String(),
			"SHOP_BROWSE_BUDGET="+browseBudget.String(), "SHOP_SESSION_BUDGET="+sessionBudget.String(),
			fmt.Sprintf("SHOP_FALLBACK_CONNS=%d", fallbackConns),
			// The second one sells together what it can, and reads together what it can.
			fmt.Sprintf("SHOP_HOT_BATCH=%d", i*hotBatch), fmt.Sprintf("SHOP_SHARED_CONNS=%d", 2-i))
		if err := a.Start(ctx); err != nil {
			return err
		}
	}
	for _, a := range w.Apps {
		if err := w.awaitReady(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// nodesFor makes the links of an instance and the SHOP_NODES that leads through
// them.
func (w *world) nodesFor(app string) (nodes string, reader *url.Userinfo, err error) {
	var entries []string
	for _, n := range w.cluster.Nodes() {
		link, err := faults.NewPGLink(n.Addr(), w.seed, "COMMIT; SELECT")
		if err != nil {
			return "", nil, err
		}
		w.toDB[app+"/"+n.Name()] = link
		dsn, err := url.Parse(n.DSN("shop_rw"))
		if err != nil {
			return "", nil, err
		}
		dsn.Host = link.Addr()
		entries = append(entries, n.Name()+"="+dsn.String())
		readDSN, err := url.Parse(n.DSN("shop_ro"))
		if err != nil {
			return "", nil, err
		}
		reader = readDSN.User
	}
	return strings.Join(entries, ","), reader, nil
}

func (w *world) awaitReady(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return w.AwaitGood(ctx, a)
}

// close stops what was started. A failed run keeps its folder.
func (w *world) close() error {
	w.Close()
	for _, link := range w.toDB {
		link.Close()
	}
	var err error
	if w.cluster != nil {
		err = w.cluster.Close()
	}
	for _, link := range w.streams {
		link.Close()
	}
	return err
}

// startLoad sets the clients going.
func (w *world) startLoad(ctx context.Context) {
	w.Stamps.Follow(w.node("primary").DSN("shop_owner"))
	w.Start(ctx)
}

// node panics on a name that no node has.
func (w *world) node(name string) *pgcluster.Node {
	n, err := w.cluster.Node(name)
	if err != nil {
		panic(err)
	}
	return n
}

func keepFolder(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.MkdirAll(path, 0o755)
}

// awaitSeen waits until every instance has seen that a standby had replayed lsn.
func (w *world) awaitSeen(ctx context.Context, standby *pgcluster.Node, lsn int64) {
	w.awaitThat(ctx, "the shops know how far "+standby.Name()+" is", func() bool {
		for _, a := range w.Apps {
			v, err := w.Replication(ctx, a)
			if err != nil || v.Replayed(standby.Name()) < fresh.LSN(lsn) {
				return false
			}
		}
		return true
	})
}
