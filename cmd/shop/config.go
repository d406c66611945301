package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/admin"
)

// nodeFlags name the PostgreSQL servers.
type nodeFlags struct {
	Nodes        string `env:"SHOP_NODES" placeholder:"NAME=DSN,..." help:"The servers, in any order and any role, as name=postgres://user:password@host:port/database, separated by commas. The user is the one that writes. One node is enough. Over a network add ?sslmode=verify-full&sslrootcert=FILE&require_auth=scram-sha-256."`
	ReadUser     string `env:"SHOP_READ_USER" help:"User for every read; it should have no right to write. Default: the user of the node."`
	ReadPassword string `env:"SHOP_READ_PASSWORD" help:"Password of the read user."`
}

type serveCmd struct {
	nodeFlags
	Addr         string `env:"SHOP_ADDR" default:"127.0.0.1:8080" help:"Address of the API."`
	InternalAddr string `env:"SHOP_INTERNAL_ADDR" placeholder:"HOST:PORT" help:"Address of /metrics and /debug/pprof, and of /healthz and /readyz once more; keep it private. Default: not served."`

	AdminAddr     string `env:"SHOP_ADMIN_ADDR" placeholder:"HOST:PORT" help:"Address of the admin routes; keep it private. Default: they are not served at all."`
	AdminKeys     string `env:"SHOP_ADMIN_KEYS" placeholder:"NAME:SCOPE+SCOPE:SECRET,..." help:"Who may use them. Scopes are catalog, stock and orders; a secret has at least 32 bytes. Make one with: openssl rand -hex 32. To rotate one, give its name twice."`
	AdminKeysFile string `env:"SHOP_ADMIN_KEYS_FILE" type:"path" help:"The same in a file, one to a line."`

	TokenKey         string `env:"SHOP_TOKEN_KEY" placeholder:"BASE64" help:"Secret of at least 32 bytes that seals consistency tokens; the same for every process of the shop. Make one with: openssl rand -base64 32"`
	TokenKeyFile     string `env:"SHOP_TOKEN_KEY_FILE" type:"path" help:"A file that holds it, instead."`
	TokenKeyPrevious string `env:"SHOP_TOKEN_KEY_PREVIOUS" placeholder:"BASE64" help:"The secret before it, while clients still hold its tokens."`

	BrowseBudget  time.Duration `env:"SHOP_BROWSE_BUDGET" default:"5s" help:"How old lists, searches and product pages may be."`
	SessionBudget time.Duration `env:"SHOP_SESSION_BUDGET" default:"1s" help:"How old carts and orders may be for a client that sends no token."`

	ReadConns     int32 `env:"SHOP_READ_CONNS" default:"16" help:"Connections for reads, per node."`
	SharedConns   int32 `env:"SHOP_SHARED_CONNS" help:"Connections, per node, that short reads share when many come at once. Default: as many as processors, from 2 to 4."`
	Coalesce      bool  `env:"SHOP_COALESCE" default:"true" negatable:"" help:"Read a page once for all who ask for it at the same time."`
	WriteConns    int32 `env:"SHOP_WRITE_CONNS" default:"16" help:"Connections for transactions."`
	FallbackConns int32 `env:"SHOP_FALLBACK_CONNS" default:"0" help:"How many reads may be on the primary at once when no replica will do. Default: 4; with one node, as many as read connections."`
	Pooler        bool  `env:"SHOP_POOLER" help:"A transaction-mode pooler is in front of the nodes: prove each read anew."`

	SecureCookies bool `env:"SHOP_SECURE_COOKIES" help:"A proxy in front ends TLS: mark cookies Secure all the same."`

	Currency        string        `env:"SHOP_CURRENCY" default:"EUR" help:"ISO 4217 code of the shop's one currency."`
	PaymentWindow   time.Duration `env:"SHOP_PAYMENT_WINDOW" default:"15m" help:"How long an order waits for its payment before it expires and its stock is returned."`
	ExpireEvery     time.Duration `env:"SHOP_EXPIRE_EVERY" default:"15s" help:"How often this process looks for orders to expire; 0 leaves it to others. An order that nobody expires cannot be paid all the same, but keeps its stock."`
	HotBatch        int           `env:"SHOP_HOT_BATCH" default:"0" help:"How many checkouts that want the same hot variant may share a transaction, for example 64; 0: none do. See orders/combine.go."`
	RequestTimeout  time.Duration `env:"SHOP_REQUEST_TIMEOUT" default:"10s" help:"Deadline of a request."`
	ShutdownTimeout time.Duration `env:"SHOP_SHUTDOWN_TIMEOUT" default:"10s" help:"How long requests under way may take once the process is asked to stop."`
	AccessLog       bool          `env:"SHOP_ACCESS_LOG" default:"true" negatable:"" help:"Log each request."`
	LogLevel        slog.Level    `env:"SHOP_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`

	limitFlags
	traceFlags
}

// settings is a serveCmd that was found to be in order.
type settings struct {
	serveCmd
	reads     fresh.Config
	keys      *fresh.Keyring
	adminKeys admin.Keys
	proxies   []netip.Prefix // that are trusted
	traces    string         // URL; "": nowhere
}

// configErrors collects everything that is wrong, so that one start shows all.
type configErrors struct{ rows [][3]string }

func (e *configErrors) add(setting, problem, remedy string) {
	e.rows = append(e.rows, [3]string{setting, problem, remedy})
}

// unless adds that a setting is out of range, unless it is ok.
func (e *configErrors) unless(setting string, ok bool, remedy string) {
	if !ok {
		e.add(setting, "is out of range", remedy)
	}
}

func (e *configErrors) err() error {
	if len(e.rows) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("the configuration is not in order\n")
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tPROBLEM\tREMEDY")
	for _, row := range e.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", row[0], row[1], row[2])
	}
	_ = w.Flush() // into memory
	return errors.New(strings.TrimRight(text.String(), "\n"))
}

// settings checks everything at once. No error repeats a secret or a DSN.
func (c serveCmd) settings() (settings, error) {
	var errs configErrors
	s := settings{serveCmd: c}
	s.keys = c.keyring(&errs)
	s.adminKeys = c.parseAdminKeys(&errs)
	s.proxies = c.parseProxies(&errs)
	s.reads = fresh.Config{
		Nodes: c.parseNodes(&errs), Pooler: c.Pooler, SecureCookies: c.SecureCookies,
		ReadConns: c.ReadConns, SharedConns: c.SharedConns, WriteConns: c.WriteConns, FallbackConns: c.FallbackConns,
	}
	s.traces = c.tracesURL(&errs)
	c.checkAddresses(&errs)
	c.checkLimits(&errs)
	c.checkClientLimits(&errs)
	return s, errs.err()
}

// parseNodes reads the list of nodes; on any error it returns what it has.
func (f nodeFlags) parseNodes(errs *configErrors) []fresh.NodeConfig {
	const remedy = "SHOP_NODES=primary=postgres://shop_rw:...@host:5432/shop,replica-1=postgres://..."
	var nodes []fresh.NodeConfig
	for entry := range strings.SplitSeq(f.Nodes, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		name, dsn, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || strings.Contains(name, ":") {
			errs.add("--nodes, SHOP_NODES", fmt.Sprintf("entry %d is not name=dsn", len(nodes)+1), remedy)
			return nodes
		}
		readDSN, err := f.readDSN(dsn)
		if err != nil {
			errs.add("--nodes, SHOP_NODES", fmt.Sprintf("node %s: %v", name, err), remedy)
			return nodes
		}
		nodes = append(nodes, fresh.NodeConfig{Name: name, WriteDSN: dsn, ReadDSN: readDSN})
	}
	if err := (fresh.Config{Nodes: nodes}).Validate(); err != nil {
		errs.add("--nodes, SHOP_NODES", err.Error(), remedy)
	}
	return nodes
}

// readDSN is the node's DSN with the read user in it.
func (f nodeFlags) readDSN(dsn string) (string, error) {
	if f.ReadUser == "" {
		return dsn, nil
	}
	u, err := url.Parse(dsn)
	switch {
	case err != nil || u.Host == "":
		return "", errors.New("with a read user the DSN must have the form postgres://host/database")
	case u.Query().Has("user") || u.Query().Has("password"): // they would win over ours
		return "", errors.New("with a read user the DSN must name its own before the @")
	}
	u.User = url.User(f.ReadUser)
	if f.ReadPassword != "" { // else PGPASSWORD or a password file
		u.User = url.UserPassword(f.ReadUser, f.ReadPassword)
	}
	return u.String(), nil
}

// flagsOf is the inverse of parseNodes, for nodes that share one read user.
func flagsOf(nodes []fresh.NodeConfig) nodeFlags {
	var flags nodeFlags
	var entries []string
	for _, n := range nodes {
		entries = append(entries, n.Name+"="+n.WriteDSN)
		if reader, err := url.Parse(n.ReadDSN); err == nil {
			flags.ReadUser = reader.User.Username()
			flags.ReadPassword, _ = reader.User.Password()
		}
	}
	flags.Nodes = strings.Join(entries, ",")
	return flags
}

func (c serveCmd) keyring(errs *configErrors) *fresh.Keyring {
	const setting, remedy = "--token-key, SHOP_TOKEN_KEY", `SHOP_TOKEN_KEY="$(openssl rand -base64 32)"`
	text := c.TokenKey
	if c.TokenKeyFile != "" {
		file, err := os.ReadFile(c.TokenKeyFile)
		if err != nil || text != "" {
			errs.add("--token-key-file, SHOP_TOKEN_KEY_FILE", "cannot be read, or SHOP_TOKEN_KEY is set too", "a file that this process may read, and only one of the two")
			return nil
		}
		text = strings.TrimSpace(string(file))
	}
	if text == "" {
		errs.add(setting, "is not set", remedy)
		return nil
	}
	current, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		errs.add(setting, "is not base64", remedy)
		return nil
	}
	var previous [][]byte
	if c.TokenKeyPrevious != "" {
		key, err := base64.StdEncoding.DecodeString(c.TokenKeyPrevious)
		if err != nil {
			errs.add("--token-key-previous, SHOP_TOKEN_KEY_PREVIOUS", "is not base64", "the value that SHOP_TOKEN_KEY had before, or nothing")
			return nil
		}
		previous = append(previous, key)
	}
	ring, err := fresh.NewKeyring(current, previous...)
	if err != nil {
		errs.add(setting, strings.TrimPrefix(err.Error(), "fresh: "), remedy)
	}
	return ring
}

// parseAdminKeys reads both places; a key may be in either. A key that nothing can
// be opened with is an error as well: somebody counts on a listener that is not
// there.
func (c serveCmd) parseAdminKeys(errs *configErrors) admin.Keys {
	const setting, remedy = "--admin-keys, SHOP_ADMIN_KEYS", `SHOP_ADMIN_KEYS="ada:catalog+stock+orders:$(openssl rand -hex 32)"`
	text := c.AdminKeys
	if c.AdminKeysFile != "" {
		file, err := os.ReadFile(c.AdminKeysFile)
		if err != nil {
			errs.add("--admin-keys-file, SHOP_ADMIN_KEYS_FILE", "cannot be read", "a file that this process may read")
			return nil
		}
		text += "\n" + string(file)
	}
	keys, err := admin.ParseKeys(text)
	switch {
	case err != nil:
		errs.add(setting, err.Error(), remedy)
	case c.AdminAddr != "" && len(keys) == 0:
		errs.add(setting, "is not set, and SHOP_ADMIN_ADDR is", remedy)
	case c.AdminAddr == "" && len(keys) > 0:
		errs.add("--admin-addr, SHOP_ADMIN_ADDR", "is not set, and there are admin keys", "127.0.0.1:8081, or no keys")
	}
	return keys
}

func (c serveCmd) checkAddresses(errs *configErrors) {
	for setting, addr := range map[string]string{
		"--addr, SHOP_ADDR":                   c.Addr,
		"--internal-addr, SHOP_INTERNAL_ADDR": c.InternalAddr,
		"--admin-addr, SHOP_ADMIN_ADDR":       c.AdminAddr,
	} {
		if addr == "" && !strings.HasPrefix(setting, "--addr") {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs.add(setting, fmt.Sprintf("%q is not host:port", addr), "127.0.0.1:8080, or :8080 for every interface")
		}
	}
}

func (c serveCmd) checkLimits(errs *configErrors) {
	positive := errs.unless
	positive("--browse-budget", c.BrowseBudget >= 200*time.Millisecond, "at least 200ms: freshness is sampled every 100ms")
	positive("--session-budget", c.SessionBudget >= 200*time.Millisecond, "at least 200ms: freshness is sampled every 100ms")
	positive("--read-conns", c.ReadConns > 0 && c.ReadConns <= 1000, "1 to 1000")
	positive("--shared-conns", c.SharedConns >= 0 && c.SharedConns <= 1000, "0 to 1000")
	positive("--write-conns", c.WriteConns > 0 && c.WriteConns <= 1000, "1 to 1000")
	positive("--fallback-conns", c.FallbackConns >= 0 && c.FallbackConns <= 1000, "0 (automatic) to 1000")
	positive("--request-timeout", c.RequestTimeout > 0, "more than 0, for example 10s")
	positive("--shutdown-timeout", c.ShutdownTimeout > 0, "more than 0, for example 10s")
	positive("--payment-window", c.PaymentWindow >= time.Second, "at least 1s, for example 15m")
	positive("--expire-every", c.ExpireEvery >= 0, "0 (never), or for example 15s")
	positive("--hot-batch", c.HotBatch >= 0 && c.HotBatch <= 1000, "0 (none) to 1000")
	positive("--currency", len(c.Currency) == 3 && strings.ToUpper(c.Currency) == c.Currency, "an ISO 4217 code such as EUR")
}
