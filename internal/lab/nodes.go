package lab

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

// NodeState is what a server of the demo says of itself, asked past the shop.
type NodeState struct {
	Name string `json:"name"`
	// Role is primary, standby, frozen or down; starting while it runs and does not
	// answer.
	Role   string `json:"role"`
	Paused bool   `json:"paused"` // its replay
	// Received is the LSN up to which a standby has flushed the log, replayed or not: who
	// has received most has every order. Null of others.
	Received *string `json:"received"`
	// Stock is how many units there are on all shelves, as this server has it. The
	// difference between two servers is what a stale read would have got wrong.
	Stock *int64 `json:"stock"`
}

// An observer looks at the servers once for all who ask within a moment.
type observer struct {
	mu   sync.Mutex
	at   time.Time
	seen []NodeState
	eyes []*eye
}

// An eye is on one server, over a connection that it keeps.
type eye struct {
	node   *pgcluster.Node
	dsn    string
	conn   *pgx.Conn
	frozen bool // when it was last looked at: then its processes are asked first
}

const (
	lookEvery = 700 * time.Millisecond
	lookLimit = 2 * time.Second // two busy cores take their time; a frozen server never answers
)

func newObserver(cluster *pgcluster.Cluster, reader string) *observer {
	o := &observer{}
	for _, n := range cluster.Nodes() {
		o.eyes = append(o.eyes, &eye{node: n, dsn: n.DSN(reader)})
	}
	return o
}

// look returns what was seen at most lookEvery ago.
func (o *observer) look(ctx context.Context) []NodeState {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.at) < lookEvery {
		return o.seen
	}
	seen := make([]NodeState, len(o.eyes))
	var all sync.WaitGroup
	for i, e := range o.eyes {
		all.Go(func() { seen[i] = e.look(context.WithoutCancel(ctx)) }) // others wait for the same answer
	}
	all.Wait()
	o.seen, o.at = seen, time.Now()
	return seen
}

func (o *observer) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.eyes {
		e.shut()
	}
}

func (e *eye) look(ctx context.Context) NodeState {
	s := NodeState{Name: e.node.Name()}
	if e.frozen {
		if s.Role = e.still(ctx); s.Role == frozen {
			return s
		}
	}
	err := e.ask(ctx, &s)
	if err != nil {
		e.shut()
		s.Role = e.still(ctx)
	}
	e.frozen = s.Role == frozen
	return s
}

const frozen = string(pgcluster.RoleFrozen)

func (e *eye) ask(ctx context.Context, s *NodeState) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if e.conn == nil {
		if e.conn, err = pgx.Connect(ctx, e.dsn); err != nil {
			e.conn = nil
			return err
		}
	}
	recovering := false
	err = e.conn.QueryRow(ctx, `SELECT pg_is_in_recovery(),
		CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END,
		CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text END,
		(SELECT sum(stock_quantity) FROM variants)`).Scan(&recovering, &s.Paused, &s.Received, &s.Stock)
	s.Role = string(pgcluster.RolePrimary)
	if recovering {
		s.Role = string(pgcluster.RoleStandby)
	}
	return err
}

// still tells a server that is down or frozen, by its processes, from one that may
// answer the next time.
func (e *eye) still(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	st, err := e.node.Status(ctx)
	if err == nil && (st.Role == pgcluster.RoleDown || st.Role == pgcluster.RoleFrozen) {
		return string(st.Role)
	}
	return "starting"
}

func (e *eye) shut() {
	if e.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	_ = e.conn.Close(ctx) // it is being given up, whatever it says
	e.conn = nil
}
