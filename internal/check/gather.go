package check

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Target names a server to look at.
type Target struct{ Name, DSN string }

// A Checker looks at the same servers, once or again and again, on one connection to
// each. It is not safe for concurrent use.
type Checker struct {
	probes  []*probe
	limits  Limits
	history history
}

// probe is one server's connection, made when it is needed.
type probe struct {
	name   string
	config *pgx.ConnConfig // nil: the DSN cannot be parsed
	conn   *pgx.Conn
}

// New connects to nothing yet.
func New(targets []Target, limits Limits) *Checker {
	c := &Checker{limits: limits}
	for _, t := range targets {
		c.probes = append(c.probes, &probe{name: t.Name, config: probeConfig(t.DSN, limits)})
	}
	return c
}

func probeConfig(dsn string, limits Limits) *pgx.ConnConfig {
	pool, err := pgxpool.ParseConfig(dsn) // which takes pool_... settings out
	if err != nil {
		return nil
	}
	config := pool.ConnConfig
	config.ConnectTimeout = limits.Timeout
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // behind a pooler too
	config.RuntimeParams["application_name"] = "leeway-check"
	return config
}

// Close closes the connections.
func (c *Checker) Close() {
	for _, p := range c.probes {
		p.close()
	}
}

// Look asks every server at once, then takes the primary's position and waits up to
// Limits.Wait for the standbys to replay it. A server that does not answer is a
// finding and no error; the error is that of ctx.
func (c *Checker) Look(ctx context.Context) (Cluster, error) {
	cluster := Cluster{At: time.Now(), Nodes: make([]Node, len(c.probes))}
	var asking sync.WaitGroup
	for i, p := range c.probes {
		asking.Go(func() { cluster.Nodes[i] = p.ask(ctx, c.limits.Timeout) })
	}
	asking.Wait()
	c.measure(ctx, &cluster)
	cluster.Took = time.Since(cluster.At)
	return cluster, ctx.Err()
}

//go:embed facts.sql
var factsSQL string

func (p *probe) ask(ctx context.Context, timeout time.Duration) Node {
	n := Node{Name: p.name}
	var text []byte
	err := p.query(ctx, timeout, &text, factsSQL, settingNames())
	if err == nil {
		err = json.Unmarshal(text, &n.Facts)
	}
	if err != nil {
		return Node{Name: p.name, Trouble: troubleOf(err)}
	}
	if n.Standby && n.MaySee {
		p.place(ctx, timeout, &n)
	}
	return n
}

var errDSN = errors.New("check: the DSN cannot be parsed")

// query asks for one value, and connects first if need be. After any error the
// connection is given up: its next answer could be to an older question.
func (p *probe) query(ctx context.Context, timeout time.Duration, dest any, sql string, args ...any) error {
	if p.config == nil {
		return errDSN
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if p.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, p.config)
		if err != nil {
			return err
		}
		p.conn = conn
	}
	err := p.conn.QueryRow(ctx, sql, args...).Scan(dest)
	if err != nil {
		p.close()
	}
	return err
}

func (p *probe) close() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = p.conn.Close(ctx) // nothing was written on it
	p.conn = nil
}

// troubleOf sums an error up without its text, in which a driver may name the user,
// the host and the database.
func troubleOf(err error) Trouble {
	var pgErr *pgconn.PgError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errDSN):
		return BadDSN
	case errors.As(err, &pgErr):
		return troubleOfCode(pgErr.Code)
	case errors.As(err, &dns) && dns.IsNotFound:
		return UnknownHost
	case errors.As(err, &certificate):
		return BadCertificate
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT): // ENOENT: no such socket
		return Refused
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return Silent
	}
	return NoAccess
}

// troubleOfCode tells by SQLSTATE (manual, appendix A).
func troubleOfCode(code string) Trouble {
	switch {
	case strings.HasPrefix(code, "28"), code == "42501": // the latter: no CONNECT
		return LoginFailed
	case code == "3D000":
		return NoDatabase
	case code == "53300":
		return Full
	case code == "57P03", code == "57P01", code == "57P02":
		return Starting
	}
	return Trouble(fmt.Sprintf("%s, SQLSTATE %s", Failing, code))
}
