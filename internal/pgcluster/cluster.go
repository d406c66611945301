package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Cluster is one primary and its standbys. All methods are safe for concurrent
// use; verbs that change a node run one at a time, across processes too.
type Cluster struct {
	dir       string
	cfg       Config
	async     bool
	bin       string
	as        Account
	passwords map[string]string
	mu        sync.RWMutex
	nodes     []*Node // guarded by mu; see Add

	attached  bool // another process owns the servers
	temporary bool
	owner     *os.File
	watchdog  *watchdog
	closed    atomic.Bool
	stopping  chan struct{} // closed by Close
	closing   sync.Once
	closeErr  error
}

var errClosed = errors.New("pgcluster: the cluster is closed")

// Start builds the cluster, or reopens the one in cfg.Dir, and returns when
// every standby is streaming, replicating synchronously unless cfg.Async, and
// has replayed the database, its roles and InitSQL.
// ctx bounds the start only; the cluster lives until Close. When Start fails, it
// leaves no server, and no folder that it made, behind.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, async: cfg.Async, stopping: make(chan struct{})}
	if c.bin, err = FindBin(ctx); err != nil {
		return nil, err
	}
	if c.as, err = ServerAccount(); err != nil {
		return nil, err
	}
	f, err := c.openFolder(ctx)
	if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	if err := c.start(ctx, f); err != nil {
		c.closed.Store(true)
		return nil, errors.Join(fmt.Errorf("pgcluster: %w", err), c.shutdown(), f.undo())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, f *folder) error {
	unlock, err := lockFor(ctx, c.file(verbLock))
	if err != nil {
		return err
	}
	defer unlock.Close()
	if c.watchdog, err = startWatchdog(ctx, c.dir, c.temporary, c.owner); err != nil {
		return err
	}
	if f.reopened {
		return c.reopen(ctx, f.state)
	}
	return c.create(ctx)
}

// Attach gives the verbs to a second process, for instance a second terminal.
// The cluster stays with the process that started it: Close does nothing here,
// and a verb fails once the owner has closed it. Config.Upstream is not known
// here: a standby that is rejoined from here dials its primary directly.
func Attach(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	st, err := readState(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("pgcluster: no cluster in %s", dir)
	} else if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	c := &Cluster{dir: dir, attached: true}
	if c.cfg, err = (Config{Dir: dir}).withDefaults(); err != nil {
		return nil, err
	}
	if c.as, err = ServerAccount(); err != nil {
		return nil, err
	}
	c.adopt(st)
	c.cfg.Settings = st.Settings // the owner's: a verb may write a node's configuration anew
	if err := c.ownerAlive(); err != nil {
		return nil, err
	}
	return c, nil
}

// adopt takes over what an earlier process wrote down.
func (c *Cluster) adopt(st state) {
	c.async, c.passwords, c.cfg.Database = st.Async, st.Passwords, st.Database
	if c.bin == "" {
		c.bin = st.Bin
	}
	for _, ns := range st.Nodes {
		n := c.addNode(ns.Name)
		n.port = ns.Port
	}
}

// ownerAlive refuses to start servers that nobody would stop.
func (c *Cluster) ownerAlive() error {
	f, err := tryLock(c.file(ownerLock))
	if errors.Is(err, errLocked) {
		return nil
	}
	if err == nil {
		_ = f.Close()
	}
	return fmt.Errorf("pgcluster: the cluster in %s is not running", c.dir)
}

// Close stops all servers and, when the cluster is temporary, removes its
// folder. It takes well under 2 s unless a server hangs. It may be called more
// than once and returns the same error each time.
func (c *Cluster) Close() error {
	if c.attached {
		return nil
	}
	c.closing.Do(func() {
		c.closed.Store(true)
		close(c.stopping)
		// A verb of a second terminal may end first, but may not keep us.
		ctx, cancel := context.WithTimeout(context.Background(), fastStop)
		defer cancel()
		if lock, err := lockFor(ctx, c.file(verbLock)); err == nil {
			defer lock.Close()
		}
		c.closeErr = c.shutdown()
	})
	return c.closeErr
}

// shutdown leaves the watchdog for last: if we are killed on the way, it
// finishes the work.
func (c *Cluster) shutdown() error {
	first := syscall.SIGINT
	if c.temporary {
		first = syscall.SIGQUIT // nothing to keep: no shutdown checkpoint
	}
	c.refresh() // a second terminal may have added one
	err := c.each(c.Nodes(), func(n *Node) error {
		err := n.halt(context.Background(), first)
		releaseShm(n.data)
		return err
	})
	if c.temporary {
		err = errors.Join(err, os.RemoveAll(c.dir))
	} else if st, readErr := readState(c.dir); readErr == nil {
		err = errors.Join(err, c.save(st.Ready, nil))
	}
	if c.watchdog != nil {
		c.watchdog.dismiss()
	}
	if c.owner != nil {
		err = errors.Join(err, c.owner.Close())
	}
	return err
}

// Dir is the absolute path of the cluster's folder.
func (c *Cluster) Dir() string { return c.dir }

// Nodes returns the nodes by their first roles: primary, replica-1, replica-2
// and so on. A name stays with its node: after a failover the node "primary" may
// be a standby.
// Those that another process adds are seen here after the next verb.
func (c *Cluster) Nodes() []*Node {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.nodes)
}

// Node returns the node of that name.
func (c *Cluster) Node(name string) (*Node, error) {
	var names []string
	for _, n := range c.Nodes() {
		if n.name == name {
			return n, nil
		}
		names = append(names, n.name)
	}
	return nil, fmt.Errorf("pgcluster: no node %q; there are %s", name, strings.Join(names, ", "))
}

// Primary asks every server and returns the one that is out of recovery, of two
// the one with the higher timeline. Frozen and dead servers are passed over,
// after at most a second.
func (c *Cluster) Primary(ctx context.Context) (*Node, error) {
	nodes := c.Nodes()
	facts := make([]facts, len(nodes))
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { facts[i], errs[i] = n.ask(ctx) })
	}
	wg.Wait()
	var primary *Node
	var timeline uint32
	for i, n := range nodes {
		if errs[i] == nil && !facts[i].recovery && facts[i].timeline > timeline {
			primary, timeline = n, facts[i].timeline
		}
	}
	if primary == nil {
		return nil, fmt.Errorf("pgcluster: no primary answers: %w", errors.Join(errs...))
	}
	return primary, nil
}

func (c *Cluster) addNode(name string) *Node {
	n := &Node{c: c, name: name, data: c.file(name), log: c.file(name + ".log")}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	return n
}

// refresh takes in the nodes that another process has added. The caller holds the verb
// lock.
func (c *Cluster) refresh() {
	st, err := readState(c.dir)
	if err != nil {
		return // there is none yet
	}
	for _, ns := range st.Nodes {
		if _, err := c.Node(ns.Name); err != nil {
			c.addNode(ns.Name).port = ns.Port
		}
	}
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) step(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.cfg.Log.Debug(line)
	if c.cfg.Progress != nil {
		c.cfg.Progress(line)
	}
}

// each runs f for the nodes at once and joins what they return.
func (c *Cluster) each(nodes []*Node, f func(*Node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			if err := f(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
