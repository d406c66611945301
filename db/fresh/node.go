package fresh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// A node is one server with pools of its own, so that a dead one can never hold
// connections that another needs. Pools connect on first use.
type node struct {
	name     string
	read     *pgxpool.Pool // as a replica
	trips    *trips        // as a replica, for the reads that share
	fallback *pgxpool.Pool // as the primary, for the few reads that may go there
	write    *pgxpool.Pool // as the primary, for transactions
	reads    connSet       // the sockets of read and fallback

	kick      chan struct{} // asks the monitor to look at once
	inUse     atomic.Int32  // reads under way, for balance
	level     atomic.Int32  // what its transactions wait for; told by the first connection
	unsynced  atomic.Bool   // a COMMIT would wait for a standby in vain
	confirmed confirmation
	view      atomic.Pointer[view] // what the monitor saw last
	damaged   atomic.Bool          // see retire

	answers [reasonCount]prometheus.Counter // reads, by reason
	behind  prometheus.Counter              // failed guards
}

const (
	connectTimeout = time.Second
	pingTimeout    = 500 * time.Millisecond
	// maxConnLifetime renews connections now and then, so that memory that a
	// backend has gathered, or a role's changed settings, do not stay for ever.
	maxConnLifetime = 15 * time.Minute
)

func newNode(ctx context.Context, nc NodeConfig, c Config) (*node, error) {
	n := &node{name: nc.Name, kick: make(chan struct{}, 1)}
	n.view.Store(&view{err: errors.New("not observed yet")})
	var err error
	if n.read, err = n.newPool(ctx, nc.ReadDSN, "leeway-read", c.ReadConns); err != nil {
		return nil, err
	}
	shared, err := n.newPool(ctx, nc.ReadDSN, "leeway-shared", c.SharedConns)
	if err != nil {
		return nil, err
	}
	n.trips = &trips{pool: shared, width: int(c.SharedConns), limit: tripTimeout}
	if n.fallback, err = n.newPool(ctx, nc.ReadDSN, "leeway-fallback", c.FallbackConns); err != nil {
		return nil, err
	}
	n.write, err = n.newPool(ctx, nc.WriteDSN, "leeway-write", c.WriteConns)
	return n, err
}

func (n *node) newPool(ctx context.Context, dsn, use string, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("node %s: its DSN cannot be parsed", n.name)
	}
	config.MaxConns, config.MinConns = size, 0
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = maxConnLifetime, maxConnLifetime/5
	config.PingTimeout = pingTimeout
	cc := config.ConnConfig
	cc.ConnectTimeout = connectTimeout
	cc.RuntimeParams["application_name"] = use
	// A guard and the query behind it must not share a snapshot, which they
	// would at a stricter level (manual, section 13.2.1).
	cc.RuntimeParams["default_transaction_isolation"] = "read committed"
	cc.OnNotice = noteCommitTrouble
	if use == "leeway-write" {
		config.BeforeConnect = withoutCancelRequests
		config.AfterConnect = n.checkWriter
	} else {
		cc.DialFunc = n.reads.dial
		config.AfterConnect = remember
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// connState is what a connection remembers; it dies with the connection, and
// the connection with its backend. It is used by whoever holds the connection.
type connState struct {
	pos     Position  // the highest replay position that this backend has shown
	seen    time.Time // when it showed it
	trouble string    // SQLSTATE of a notice that puts a COMMIT in doubt

	statements map[string]*statement // by SQL; a program has few, and all are constant
	builder    pgx.ExtendedQueryBuilder
}

const stateKey = "leeway/fresh"

func stateOf(conn *pgconn.PgConn) *connState {
	state, _ := conn.CustomData()[stateKey].(*connState)
	return state
}

func remember(_ context.Context, conn *pgx.Conn) error {
	conn.PgConn().CustomData()[stateKey] = &connState{}
	return nil
}

// The levels of synchronous_commit, as far as it matters whether a standby is
// there. Zero: no connection has told yet.
const (
	levelLocal = iota + 1 // for no standby
	levelFlush            // until a standby has it on disk
	levelApply            // until it is visible there
)

// checkWriter refuses connections on which a COMMIT would be answered before it
// is on disk: no position taken after it would prove anything, and a crash
// would lose an acknowledged order.
func (n *node) checkWriter(ctx context.Context, conn *pgx.Conn) error {
	var level string
	if err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_commit')").Scan(&level); err != nil {
		return err
	}
	if level == "off" {
		return errors.New("fresh: synchronous_commit is off for the writing role; set it to local or stricter")
	}
	switch level {
	case "local":
		n.level.Store(levelLocal)
	case "remote_apply":
		n.level.Store(levelApply)
	default:
		n.level.Store(levelFlush)
	}
	return remember(ctx, conn)
}

// noteCommitTrouble keeps the code of a warning that means "committed here, but
// not on a standby": 01000 when a cancel ended the wait, 57P01 and 57P02 when a
// shutdown or a crash of another backend did.
func noteCommitTrouble(conn *pgconn.PgConn, notice *pgconn.Notice) {
	switch notice.Code {
	case "01000", "57P01", "57P02":
		if state := stateOf(conn); state != nil {
			state.trouble = notice.Code
		}
	}
}

// withoutCancelRequests lets a connection be dialled, but not its CancelRequest.
// The driver sends one whenever it gives a connection up, and if that hits a
// COMMIT that waits for its synchronous standby, the wait ends: the row becomes
// visible although no standby has it. A statement whose caller has left is ended
// by the role's lock_timeout and statement_timeout instead; until then it holds
// its connection.
func withoutCancelRequests(_ context.Context, cc *pgx.ConnConfig) error {
	var established atomic.Bool
	cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if established.Load() {
			return nil, errors.New("fresh: a writing connection sends no CancelRequest")
		}
		return dial(ctx, network, address)
	}
	cc.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		established.Store(true)
		return nil
	}
	return nil
}

// cutReads ends every read that is under way on the node, at once, by closing
// its sockets; the reads then go elsewhere. Transactions are left alone: what
// became of a COMMIT that is cut cannot be known.
func (n *node) cutReads() {
	n.read.Reset()
	n.trips.pool.Reset()
	n.fallback.Reset()
	n.reads.closeAll()
}

// retire takes a replica whose storage fails out of rotation until it has been
// seen down: other pages may be damaged in ways that raise no error. Rebuilding
// it does that. A hiccup of the monitor does too, and lets it back until it meets
// the damage again.
func (r *Router) retire(n *node) {
	if !n.damaged.Swap(true) {
		r.config.Log.Error("node serves no more reads: its storage fails; rebuild it", "node", n.name)
	}
}

func (n *node) close() {
	n.read.Close()
	n.trips.pool.Close()
	n.fallback.Close()
	n.write.Close()
}

// connSet remembers the open sockets of a node.
type connSet struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (s *connSet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{Conn: conn, set: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[net.Conn]struct{}{}
	}
	s.open[tracked] = struct{}{}
	return tracked, nil
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.open))
	for conn := range s.open {
		conns = append(conns, conn)
	}
	s.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
}

type trackedConn struct {
	net.Conn
	set *connSet
}

func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}
