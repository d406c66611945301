package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/pgcluster"
)

const (
	stampEvery = 10 * time.Millisecond
	probeEvery = 5 * time.Millisecond
)

// A stamper counts the probe's version up, on a connection of its own and past the
// shop. It never cancels a COMMIT: one that waits for a standby goes on waiting.
type stamper struct {
	w *world

	mu   sync.Mutex
	node *pgcluster.Node // the primary, as the harness knows it
	conn *pgx.Conn

	value int64 // the last one that was tried
}

// follow hangs up, so that the next stamp goes to node; nil: to nobody.
func (s *stamper) follow(node *pgcluster.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = node
	s.hangUp()
}

// hangUp is called with s.mu held.
func (s *stamper) hangUp() {
	if s.conn != nil {
		s.conn.PgConn().Conn().Close()
		s.conn = nil
	}
}

func (s *stamper) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.follow(nil) })()
	random := rand.New(rand.NewPCG(s.w.seed, 0))
	for ; ctx.Err() == nil; pause(ctx, stampEvery, random) {
		if conn := s.connect(ctx); conn != nil {
			s.stamp(conn)
		}
	}
}

// connect returns nil when there is no primary.
func (s *stamper) connect(ctx context.Context) *pgx.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil || s.node == nil {
		return s.conn
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(s.node.DSN("shop_owner"))
	if err != nil {
		panic(err) // pgcluster made it
	}
	// The driver sends a CancelRequest whenever it gives a connection up.
	dialled := false
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled {
			return nil, errors.New("no CancelRequest")
		}
		dialled = true
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	s.conn, _ = pgx.ConnectConfig(ctx, config) // nil on an error
	return s.conn
}

func (s *stamper) stamp(conn *pgx.Conn) {
	s.value++
	stamp := checker.Stamp{Value: s.value, Sent: s.w.record.now()}
	_, err := conn.Exec(context.Background(), "UPDATE products SET version = $1 WHERE slug = $2", s.value, s.w.probe)
	if err == nil {
		stamp.Acked = s.w.record.now()
	}
	s.w.record.stamp(stamp)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conn == conn {
			s.hangUp()
		}
	}
}

// readProbe reads the probe through the shop, as somebody without a session.
func (w *world) readProbe(ctx context.Context, id int) {
	c := w.newCaller(id)
	for ctx.Err() == nil {
		c.only = w.probeAt.Load()
		c.tokens = &jar{}
		c.send(ctx, request{"GET", "/v1/products/" + w.probe, nil, "", checker.Op{Kind: checker.ReadProbe}})
		pause(ctx, probeEvery, c.rand)
	}
}
