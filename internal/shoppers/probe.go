package shoppers

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/checker"
)

const (
	stampEvery = 10 * time.Millisecond
	probeEvery = 5 * time.Millisecond
)

// A Stamper counts the probe's version up, on a connection of its own and past the
// shop. It never cancels a COMMIT: one that waits for a standby goes on waiting.
type Stamper struct {
	crowd *Crowd

	mu   sync.Mutex
	dsn  string
	conn *pgx.Conn

	value int64 // the last one that was tried
}

// Follow hangs up, so that the next stamp goes to dsn, which must lead to the
// primary as the owner of the schema; "": to nobody.
func (s *Stamper) Follow(dsn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dsn = dsn
	s.hangUp()
}

// hangUp is called with s.mu held.
func (s *Stamper) hangUp() {
	if s.conn != nil {
		s.conn.PgConn().Conn().Close()
		s.conn = nil
	}
}

func (s *Stamper) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.Follow("") })()
	random := rand.New(rand.NewPCG(s.crowd.seed, 0))
	for ; ctx.Err() == nil; Pause(ctx, stampEvery, random) {
		if conn := s.connect(ctx); conn != nil {
			s.stamp(conn)
		}
	}
}

// connect returns nil when there is no primary.
func (s *Stamper) connect(ctx context.Context) *pgx.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil || s.dsn == "" {
		return s.conn
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		panic(err) // our own mistake
	}
	// The driver sends a CancelRequest whenever it gives a connection up.
	var established atomic.Bool
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if established.Load() {
			return nil, errors.New("no CancelRequest")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if s.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		s.conn = nil
	}
	established.Store(true)
	return s.conn
}

func (s *Stamper) stamp(conn *pgx.Conn) {
	s.value++
	stamp := checker.Stamp{Value: s.value, Sent: s.crowd.Record.Now()}
	_, err := conn.Exec(context.Background(), "UPDATE products SET version = $1 WHERE slug = $2", s.value, s.crowd.Probe)
	if err == nil {
		stamp.Acked = s.crowd.Record.Now()
	}
	s.crowd.Record.stamp(stamp)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conn == conn {
			s.hangUp()
		}
	}
}

// readProbe reads the probe through the shop, as somebody without a session.
func (c *Crowd) readProbe(ctx context.Context, id int) {
	client := c.NewCaller(id)
	for ctx.Err() == nil {
		client.only = c.ProbeAt.Load()
		client.tokens = &jar{}
		client.send(ctx, request{"GET", "/v1/products/" + c.Probe, nil, "", checker.Op{Kind: checker.ReadProbe}})
		Pause(ctx, probeEvery, client.rand)
	}
}
