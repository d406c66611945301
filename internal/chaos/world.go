package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/seed"
	"example.com/leeway/migrations"
)

// A world is what one scenario runs in: a cluster of its own with two instances of
// the shop, each a process, and a link on every wire between them.
type world struct {
	seed uint64
	keep bool   // also the history of a run that went well
	dir  string // logs, and the history of a run that failed

	cluster *pgcluster.Cluster
	apps    []*app
	toDB    map[string]*faults.PGLink // by "app/node"
	streams map[string]*faults.Link   // replication, by standby
	linking sync.Mutex
	keys    *fresh.Keyring
	http    *http.Client

	record  *recorder
	stamps  *stamper
	initial map[string]int // stock by variant
	hot     []string
	cold    []string
	probe   string // a slug
	probeAt atomic.Pointer[app]

	wanted, sessions, keysMade atomic.Int64
	// clientPatience is when a client hangs up, shopperPatience how long a checkout
	// is asked for again.
	clientPatience, shopperPatience time.Duration
	// waitLimit bounds every wait for something that a fault must cause.
	waitLimit time.Duration

	load    sync.WaitGroup
	endLoad context.CancelFunc

	result
}

const (
	clients      = 8
	probeReaders = 2
	products     = 120
	hotVariants  = 60
	coldVariants = 24
)

// newWorld starts everything; on an error it leaves nothing behind.
func newWorld(ctx context.Context, o options, s scenario, dir string) (w *world, err error) {
	w = &world{
		seed: o.Seed, keep: o.Keep, dir: dir, record: newRecorder(),
		toDB: map[string]*faults.PGLink{}, streams: map[string]*faults.Link{},
		http:           &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		clientPatience: requestTimeout + 2*time.Second, shopperPatience: 8 * time.Second, waitLimit: o.waitLimit,
		result: newResult(s),
	}
	if s.hangUp > 0 {
		w.clientPatience = s.hangUp
	}
	w.stamps = &stamper{w: w, value: 1}
	w.record.stamp(checker.Stamp{Value: 1, Sent: 1, Acked: 2}) // as the catalog is loaded
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := w.startCluster(ctx, s); err != nil {
		return w, err
	}
	if err := w.fillShop(ctx); err != nil {
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

// fillShop loads a small catalog, in which the hot variants are short.
func (w *world) fillShop(ctx context.Context) error {
	in := seed.Generate(products, 1)
	w.probe = in.Products[0].Slug
	w.initial = map[string]int{}
	for i := range in.Products {
		for j := range in.Products[i].Variants {
			v := &in.Products[i].Variants[j]
			v.Stock = coldStock
			id := v.ID.String()
			switch {
			case i == 0: // the probe's own
			case len(w.hot) < hotVariants:
				v.Stock = hotStock
				w.hot = append(w.hot, id)
			case len(w.cold) < coldVariants:
				w.cold = append(w.cold, id)
			}
			w.initial[id] = v.Stock
		}
	}
	router, err := fresh.New(fresh.Config{Nodes: []fresh.NodeConfig{{
		Name: "primary", WriteDSN: w.node("primary").DSN("shop_rw"), ReadDSN: w.node("primary").DSN("shop_ro"),
	}}})
	if err != nil {
		return err
	}
	if err := router.AwaitPrimary(ctx); err != nil {
		return errors.Join(err, router.Close(ctx))
	}
	err = catalog.New(db.New(router), catalog.DefaultConfig()).Load(ctx, in, catalog.LoadOptions{})
	return errors.Join(err, router.Close(ctx))
}

func (w *world) startApps(ctx context.Context, o options) error {
	tokenKey := []byte("a key of the chaos run, 32 bytes at least")
	var err error
	if w.keys, err = fresh.NewKeyring(tokenKey); err != nil {
		return err
	}
	for _, name := range []string{"app-a", "app-b"} {
		nodes, reader, err := w.nodesFor(name)
		if err != nil {
			return err
		}
		password, _ := reader.Password()
		a := newApp(name, o.binary, w.dir, nodes, reader.Username(), password, tokenKey)
		w.apps = append(w.apps, a)
		if err := a.start(ctx); err != nil {
			return err
		}
	}
	for _, a := range w.apps {
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
	err := poll(ctx, func() bool {
		v, err := w.replication(ctx, a)
		return err == nil && v.Verdict == "good"
	})
	if err != nil {
		return fmt.Errorf("%s is not ready; see %s", a.name, a.log)
	}
	return nil
}

// close stops what was started. A failed run keeps its folder.
func (w *world) close() error {
	for _, a := range w.apps {
		a.stop()
	}
	w.http.CloseIdleConnections()
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
	ctx, w.endLoad = context.WithCancel(ctx)
	w.stamps.follow(w.node("primary"))
	w.load.Go(func() { w.stamps.run(ctx) })
	for id := range clients {
		w.load.Go(func() { w.shop(ctx, id+1) })
	}
	for id := range probeReaders {
		w.load.Go(func() { w.readProbe(ctx, 100+id) })
	}
}

// stopLoad lets the clients finish what they have begun.
func (w *world) stopLoad() {
	if w.endLoad != nil {
		w.endLoad()
		w.load.Wait()
		w.endLoad = nil
	}
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

// poll asks until it is so, or ctx ends.
func poll(ctx context.Context, so func() bool) error {
	for !so() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}
