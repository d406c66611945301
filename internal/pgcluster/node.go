package pgcluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Node is one server. A verb returns when its effect is there, not when it was
// asked for, and gives up after 90 s or when its context ends.
type Node struct {
	c    *Cluster
	name string
	port int
	data string
	log  string
}

// Name is primary, replica-1, replica-2 ...: the node's first role, for ever.
func (n *Node) Name() string { return n.name }

// Addr is 127.0.0.1:port. The port stays with the node while the cluster is open.
func (n *Node) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// DSN is the connection URL of a role in Config.Database; role "postgres" is the
// superuser. Its parameters are Config.Params. A role that the cluster does not know
// gets a URL without password, which the server refuses.
func (n *Node) DSN(role string) string { return n.dsn(role, n.c.cfg.Database) }

func (n *Node) dsn(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: n.Addr(), Path: "/" + database, RawQuery: n.c.cfg.Params}
	if pass, ok := n.c.passwords[role]; ok {
		u.User = url.UserPassword(role, pass)
	}
	return u.String()
}

// Start starts a server that is down, in the role that its data folder says: a
// killed primary comes back as a primary, even if another was promoted meanwhile
// (use Rejoin then). It returns when the server answers queries.
func (n *Node) Start(ctx context.Context) error {
	return n.verb(ctx, "start", nil, n.launch)
}

// Stop shuts the server down fast, and immediately if that takes more than 5 s,
// for instance because a standby of a primary is frozen. Down already is no error.
func (n *Node) Stop(ctx context.Context) error {
	return n.verb(ctx, "stop", nil, func(ctx context.Context) error { return n.halt(ctx, syscall.SIGINT) })
}

// Kill ends every process of the server with SIGKILL, as a power cut would, and
// returns when all are gone. Down already is no error.
func (n *Node) Kill(ctx context.Context) error {
	return n.verb(ctx, "kill", nil, func(ctx context.Context) error { return n.signalUntilGone(ctx, syscall.SIGKILL) })
}

// Freeze stops every process of the server with SIGSTOP: connections stay open,
// new ones are accepted by the kernel, nothing answers.
func (n *Node) Freeze(ctx context.Context) error { return n.verb(ctx, "freeze", nil, n.freeze) }

// Process is one of a server's processes, by its title.
type Process string

// The processes that can be frozen alone. Without its postmaster a server keeps
// its sessions and takes no new one; without startup a standby answers and no
// longer replays; without walreceiver it no longer receives or confirms.
const (
	Postmaster  Process = "postmaster"
	Startup     Process = "startup"
	WALReceiver Process = "walreceiver"
)

// FreezeProcess stops one process with SIGSTOP; Thaw undoes it too. It is an error
// if the server has no such process now.
func (n *Node) FreezeProcess(ctx context.Context, which Process) error {
	return n.verb(ctx, "freeze "+string(which)+" of", nil, func(ctx context.Context) error { return n.freezeProcess(ctx, which) })
}

// Thaw undoes Freeze; a server that is not frozen is left alone.
func (n *Node) Thaw(ctx context.Context) error { return n.verb(ctx, "thaw", nil, n.thaw) }

// PauseReplay stops a standby from applying what it goes on receiving, and
// returns when replay stands still.
func (n *Node) PauseReplay(ctx context.Context) error {
	return n.verb(ctx, "pause", nil, func(ctx context.Context) error {
		return n.setReplay(ctx, "pg_wal_replay_pause", "paused")
	})
}

// ResumeReplay undoes PauseReplay. It does not wait until the standby caught up.
func (n *Node) ResumeReplay(ctx context.Context) error {
	return n.verb(ctx, "resume", nil, func(ctx context.Context) error {
		return n.setReplay(ctx, "pg_wal_replay_resume", "not paused")
	})
}

func (n *Node) setReplay(ctx context.Context, function, want string) error {
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT "+function+"()"); err != nil {
		return err
	}
	// A request to pause is granted only when the startup process next looks.
	return poll(ctx, func() (bool, error) {
		var state string
		err := conn.QueryRow(ctx, "SELECT pg_get_wal_replay_pause_state()").Scan(&state)
		return state == want, err
	})
}

// Promote makes a standby a primary, on a new timeline, and returns when it
// takes writes. It stops nobody else: kill the old primary first, or there are
// two. The others follow the new one only after a Rejoin, which is quick for a
// standby that runs; until then, unless the cluster is Async, its commits wait.
func (n *Node) Promote(ctx context.Context) error {
	roles := map[string]Role{n.name: RolePrimary}
	return n.verb(ctx, "promote", roles, func(ctx context.Context) error {
		conn, err := n.connect(ctx, superuser)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "SELECT pg_promote(false)"); err != nil {
			return err
		}
		return poll(ctx, func() (bool, error) {
			var recovering bool
			err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
			return !recovering, err
		})
	})
}

const verbTimeout = 90 * time.Second

var errSlow = fmt.Errorf("not done after %v", verbTimeout)

// verb is Cluster.verb for one node.
func (n *Node) verb(ctx context.Context, name string, roles map[string]Role, f func(context.Context) error) error {
	return n.c.verb(ctx, name+" "+n.name, roles, f)
}

// verb runs f alone among all processes, then rewrites cluster.json.
func (c *Cluster) verb(ctx context.Context, name string, roles map[string]Role, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, verbTimeout, errSlow)
	defer cancel()
	if c.closed.Load() {
		return errClosed
	}
	go func() { // Close does not wait for a long verb
		select {
		case <-c.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	if c.attached {
		if err := c.ownerAlive(); err != nil {
			return err
		}
	}
	lock, err := lockFor(ctx, c.file(verbLock))
	if err != nil {
		return fmt.Errorf("pgcluster: %s: wait for another verb: %w", name, err)
	}
	defer lock.Close()
	if c.closed.Load() {
		return errClosed
	}
	c.refresh()
	c.step("%s", name)
	if err := f(ctx); err != nil {
		return fmt.Errorf("pgcluster: %s: %w", name, err)
	}
	return c.save(true, roles)
}

// connect opens a superuser's connection; the caller closes it. Each attempt
// ends after a second: a frozen server accepts and never answers.
func (n *Node) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return n.dial(ctx, n.dsn(superuser, database), nil)
}

func (n *Node) dial(ctx context.Context, dsn string, params map[string]string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // one round trip, nothing is asked twice
	cfg.RuntimeParams["application_name"] = "pgcluster"
	maps.Copy(cfg.RuntimeParams, params)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

func (n *Node) ping(ctx context.Context) error {
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// exec runs statements, separated by semicolons, in one transaction.
func (n *Node) exec(ctx context.Context, database, sql string) error {
	conn, err := n.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

func (n *Node) file(name string) string { return filepath.Join(n.data, name) }

// slot is the name of the node's replication slot on whoever is the primary.
func (n *Node) slot() string { return strings.ReplaceAll(n.name, "-", "_") }

func (n *Node) isStandbyOnDisk() bool {
	_, err := os.Stat(n.file(standbySignal))
	return err == nil
}
