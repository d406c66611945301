package fresh

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// A NodeConfig names one PostgreSQL server. Which of the nodes is the primary
// is observed, never configured.
type NodeConfig struct {
	Name string
	// WriteDSN connects with the role that writes, ReadDSN with a role that
	// cannot: only a missing GRANT stops a write on a read handle. Each names
	// one host; of a list, the first dead host would eat the whole deadline.
	WriteDSN, ReadDSN string
}

// Config sets up a Router. The zero value of every field but Nodes is a
// sensible default.
type Config struct {
	Nodes []NodeConfig

	ReadConns     int32 // connections for reads, per replica: 16
	SharedConns   int32 // connections for reads that share (Policy.Shared), per replica: as many as processors, from 2 to 4
	WriteConns    int32 // connections for transactions on the primary: 16
	FallbackConns int32 // cap on concurrent reads of the primary: 4; with one node, as ReadConns

	// FallbackWait is how long a read may queue for the primary once the cap is
	// reached: 100 ms.
	FallbackWait time.Duration
	// SessionWait is how long a session read waits for a replica that is just
	// behind, before it goes to the primary: 5 ms, several times a normal replay.
	SessionWait time.Duration
	// SampleEvery is the period of the monitor: 100 ms. Bounded reads cannot
	// prove less than that.
	SampleEvery time.Duration
	// SampleTimeout is how long a node may take to answer the monitor before its
	// reads are cut and sent elsewhere: 500 ms.
	SampleTimeout time.Duration
	// SyncWait is how long the synchronous standbys may take to confirm what the
	// primary has written before further transactions are refused: 1 s.
	SyncWait time.Duration
	// Keep is how far back a bound can be proven: 10 minutes.
	Keep time.Duration
	// GuardEvery is how long a connection may rely on the position that it has
	// itself seen: 250 ms. Less makes bounds tighter, more saves guards.
	GuardEvery time.Duration
	// Pooler sends the guard with every read: behind a transaction-mode pooler a
	// connection is not one backend, and what it remembers is worth nothing. For
	// the same reason Snapshot, whose guard is a transaction of its own, then goes
	// to the primary.
	Pooler bool
	// SecureCookies marks the token's cookie Secure also on requests that came
	// without TLS: a proxy in front ends it.
	SecureCookies bool

	Log     *slog.Logger          // default: none
	Metrics prometheus.Registerer // default: not registered
	Hooks   Hooks                 // default: none
}

func (c Config) withDefaults() Config {
	setDefault(&c.ReadConns, 16)
	setDefault(&c.SharedConns, int32(min(max(2, runtime.GOMAXPROCS(0)), 4)))
	setDefault(&c.WriteConns, 16)
	if len(c.Nodes) == 1 {
		setDefault(&c.FallbackConns, c.ReadConns) // nothing falls back: all reads are here
	}
	setDefault(&c.FallbackConns, 4)
	setDefault(&c.FallbackWait, 100*time.Millisecond)
	setDefault(&c.SessionWait, 5*time.Millisecond)
	setDefault(&c.SampleEvery, 100*time.Millisecond)
	setDefault(&c.SampleTimeout, 500*time.Millisecond)
	setDefault(&c.SyncWait, time.Second)
	setDefault(&c.Keep, 10*time.Minute)
	setDefault(&c.GuardEvery, 250*time.Millisecond)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first thing that is wrong with the nodes. No error
// repeats a DSN, which may hold a password.
func (c Config) Validate() error {
	if len(c.Nodes) == 0 {
		return fmt.Errorf("no node is configured")
	}
	if min(c.ReadConns, c.SharedConns, c.WriteConns, c.FallbackConns) < 0 {
		return fmt.Errorf("a number of connections is negative")
	}
	seen := map[string]bool{}
	for _, n := range c.Nodes {
		if n.Name == "" || seen[n.Name] {
			return fmt.Errorf("node name %q is empty or used twice", n.Name)
		}
		seen[n.Name] = true
		for _, dsn := range []string{n.WriteDSN, n.ReadDSN} {
			if err := validateDSN(dsn); err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
		}
	}
	return nil
}

func validateDSN(dsn string) error {
	config, err := pgxpool.ParseConfig(dsn)
	if file, ok := errors.AsType[*fs.PathError](err); ok { // of sslrootcert or the like
		return fmt.Errorf("its DSN names a file that cannot be read: %w", file)
	}
	if err != nil {
		return fmt.Errorf("its DSN cannot be parsed (want postgres://user:password@host:port/database)")
	}
	first := config.ConnConfig
	if first.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return fmt.Errorf("its DSN asks for the simple protocol, which writes arguments into the text of a statement; exec does as well behind a pooler")
	}
	for _, other := range first.Fallbacks { // also holds the same host without TLS
		if other.Host != first.Host || other.Port != first.Port {
			return fmt.Errorf("its DSN names several hosts; give each server a node of its own")
		}
	}
	return nil
}
