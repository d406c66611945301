package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/leeway/db/fresh"
)

const aDSN = "postgres://shop_rw:hunter2@127.0.0.1:5432/shop"

// Everything that is wrong is reported at once, by the name of its setting, and
// no secret is repeated.
func TestConfigurationErrors(t *testing.T) {
	tests := []struct {
		name string
		set  func(*serveCmd)
		want []string // settings that are reported, and files
	}{
		{"in order", func(*serveCmd) {}, nil},
		{"keyword DSN", func(c *serveCmd) { c.Nodes = "a=host=127.0.0.1 user=u password=hunter2 dbname=d" }, nil},
		{"no nodes", func(c *serveCmd) { c.Nodes = "" }, []string{"SHOP_NODES"}},
		{"a node without a name", func(c *serveCmd) { c.Nodes = aDSN }, []string{"SHOP_NODES"}},
		{"a node twice", func(c *serveCmd) { c.Nodes = "a=" + aDSN + ",a=" + aDSN }, []string{"SHOP_NODES"}},
		{"a DSN that is none", func(c *serveCmd) { c.Nodes = "a=postgres://u:hunter2@:x/" }, []string{"SHOP_NODES"}},
		{"no such certificate", func(c *serveCmd) {
			c.Nodes = "a=postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such/ca.crt"
		}, []string{"SHOP_NODES", "/no/such/ca.crt"}},
		{"simple protocol", func(c *serveCmd) { c.Nodes = "a=postgres://u:hunter2@h/d?default_query_exec_mode=simple_protocol" }, []string{"SHOP_NODES"}},
		{"no such way to log in", func(c *serveCmd) { c.Nodes = "a=postgres://u:hunter2@h/d?require_auth=scram" }, []string{"SHOP_NODES"}},
		{"many hosts", func(c *serveCmd) { c.Nodes = "a=postgres://u:hunter2@h1:1;h2:2/d" }, []string{"SHOP_NODES"}},
		{"read user with a keyword DSN", func(c *serveCmd) { c.Nodes, c.ReadUser = "a=host=h password=hunter2", "ro" }, []string{"SHOP_NODES"}},
		{"user in the query", func(c *serveCmd) { c.Nodes, c.ReadUser = "a=postgres://h/d?user=shop_rw&password=hunter2", "ro" }, []string{"SHOP_NODES"}},
		{"no key", func(c *serveCmd) { c.TokenKey = "" }, []string{"SHOP_TOKEN_KEY"}},
		{"short key", func(c *serveCmd) { c.TokenKey = "aHVudGVyMg==" }, []string{"SHOP_TOKEN_KEY"}},
		{"key that is not base64", func(c *serveCmd) { c.TokenKey = "hunter2!" }, []string{"SHOP_TOKEN_KEY"}},
		{"short previous key", func(c *serveCmd) { c.TokenKeyPrevious = "aHVudGVyMg==" }, []string{"SHOP_TOKEN_KEY"}},
		{"bad address", func(c *serveCmd) { c.Addr = "8080" }, []string{"SHOP_ADDR"}},
		{"bad internal address", func(c *serveCmd) { c.InternalAddr = "x" }, []string{"SHOP_INTERNAL_ADDR"}},
		{"budget below the samples", func(c *serveCmd) { c.BrowseBudget = 1 }, []string{"--browse-budget"}},
		{"no connections", func(c *serveCmd) { c.ReadConns, c.WriteConns, c.FallbackConns = 0, -1, 5000 }, []string{"--read-conns", "--write-conns", "--fallback-conns"}},
		{"no time to pay", func(c *serveCmd) { c.PaymentWindow, c.ExpireEvery = 0, -1 }, []string{"--payment-window", "--expire-every"}},
		{"nobody expires", func(c *serveCmd) { c.ExpireEvery = 0 }, nil},
		{"limits", func(c *serveCmd) { c.RateAddress, c.RateKey = -1, maxRate+1 }, []string{"--rate-address", "--rate-key"}},
		{"no limits", func(c *serveCmd) { c.RateAddress, c.RateKey = 0, 0 }, nil},
		{"no room beside what is in flight", func(c *serveCmd) { c.MaxInFlight, c.MaxConns = 100, 100 }, []string{"--max-conns"}},
		{"nothing in flight", func(c *serveCmd) { c.MaxInFlight = 0 }, []string{"--max-in-flight"}},
		{"proxies", func(c *serveCmd) { c.TrustedProxies = " 10.0.0.0/8,,2001:db8::/32, 127.0.0.1/32" }, nil},
		{"a proxy that is no network", func(c *serveCmd) { c.TrustedProxies = "10.0.0.1" }, []string{"SHOP_TRUSTED_PROXIES"}},
		{"everybody a proxy", func(c *serveCmd) { c.TrustedProxies = "0.0.0.0/0" }, []string{"SHOP_TRUSTED_PROXIES"}},
		{"a proxy that is never met", func(c *serveCmd) { c.TrustedProxies = "::ffff:10.0.0.0/104" }, []string{"SHOP_TRUSTED_PROXIES"}},
		{"currency", func(c *serveCmd) { c.Currency = "euro" }, []string{"--currency"}},
		{"everything at once", func(c *serveCmd) { c.Nodes, c.TokenKey, c.Addr, c.RequestTimeout = "", "", "", 0 }, []string{"SHOP_NODES", "SHOP_TOKEN_KEY", "SHOP_ADDR", "--request-timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flags := testFlags(t)
			flags.Nodes = "primary=" + aDSN + ",replica-1=" + aDSN
			tt.set(&flags)
			_, err := flags.settings()
			if (err != nil) != (len(tt.want) > 0) {
				t.Fatalf("err = %v", err)
			}
			if err == nil {
				return
			}
			lines := strings.Split(err.Error(), "\n")
			settings := slices.DeleteFunc(slices.Clone(tt.want), func(s string) bool { return strings.HasPrefix(s, "/") })
			if got := len(lines) - 2; got != len(settings) {
				t.Errorf("%d problems, want %d:\n%v", got, len(settings), err)
			}
			for _, setting := range tt.want {
				if !strings.Contains(err.Error(), setting) {
					t.Errorf("no word of %s:\n%v", setting, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is repeated:\n%v", err)
			}
		})
	}
}

// Who sets nothing is protected.
func TestLimitsByDefault(t *testing.T) {
	var flags serveCmd
	if err := kong.ApplyDefaults(&flags); err != nil {
		t.Fatal(err)
	}
	if f := flags.limitFlags; f.RateAddress != 100 || f.RateKey != 20 || f.TrustedProxies != "" || f.MaxInFlight != 512 || f.MaxConns != 2000 {
		t.Errorf("%+v, which README says otherwise", f)
	}
}

// SHOP_COALESCE=false is obeyed; docs/benchmarks.md measures both.
func TestPagesAreReadForManyUnlessToldOtherwise(t *testing.T) {
	for _, coalesce := range []bool{true, false} {
		s := server{settings: settings{serveCmd: testFlags(t)}}
		if !coalesce {
			s.Coalesce = false
		}
		if s.catalogConfig().Coalesce != coalesce {
			t.Errorf("the catalog is not told %v", coalesce)
		}
	}
}

func TestReadsUseTheReadUser(t *testing.T) {
	flags := testFlags(t)
	const secure = "?sslmode=verify-full&require_auth=scram-sha-256"
	flags.Nodes, flags.ReadUser, flags.ReadPassword = "a="+aDSN+secure, "shop_ro", "p@ss"
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.reads.Nodes[0].ReadDSN, "postgres://shop_ro:p%40ss@127.0.0.1:5432/shop"+secure; got != want {
		t.Errorf("read DSN %q, want %q", got, want)
	}
}

// Who connects to another machine without checking who that is hears of it.
func TestUnverifiedNodesAreNamed(t *testing.T) {
	for dsn, want := range map[string]bool{
		"postgres://u@db1/shop":                                 true, // the driver prefers TLS, and insists on nothing
		"postgres://u@db1/shop?sslmode=disable":                 true,
		"postgres://u@db1/shop?sslmode=require":                 true,
		"postgres://u@db1/shop?sslmode=verify-full":             false,
		"postgres://u@10.0.0.1/shop?sslmode=prefer":             true,
		"host=db1 user=u dbname=shop sslmode=verify-full":       false,
		"postgres://u@127.0.0.1/shop?sslmode=disable":           false,
		"postgres://u@[::1]/shop":                               false,
		"postgres://u@localhost/shop":                           false,
		"host=/var/run/postgresql user=u dbname=shop":           false,
		"postgres://u@localhost.example.com/shop?sslmode=allow": true,
	} {
		names := unverified([]fresh.NodeConfig{{Name: "a", WriteDSN: dsn, ReadDSN: dsn}})
		if got := len(names) > 0; got != want {
			t.Errorf("%s: %v, want %v", dsn, got, want)
		}
	}
	here := "postgres://u@127.0.0.1/shop"
	if names := unverified([]fresh.NodeConfig{{Name: "a", WriteDSN: here, ReadDSN: here}, {Name: "b", WriteDSN: here, ReadDSN: "postgres://u@db1/shop"}}); len(names) != 1 || names[0] != "b" {
		t.Errorf("%v, want b: its reads are not checked", names)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, 0, "demo"},
		{[]string{"serve", "--help"}, 0, "SHOP_TOKEN_KEY"},
		{[]string{}, 0, "demo"},
		{[]string{"dance"}, 2, "dance"},
		{[]string{"serve", "--addr"}, 2, "addr"},
		{[]string{"serve"}, 1, "SHOP_NODES"},
		{[]string{"seed", "--products", "0"}, 1, "--products"},
		{[]string{"demo", "--products", "0"}, 1, "--products"},
		{[]string{"migrate", "up"}, 2, "missing flags: --dsn=DSN; or set SHOP_MIGRATE_DSN\n"},
		{[]string{"cluster", "pause"}, 2, "SHOP_CLUSTER_DIR\n"},
		{[]string{"migrate", "up", "--dance"}, 2, "unknown flag --dance\n"},
		{[]string{"migrate", "roles"}, 0, "shop_ro"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, &app{&stdout, &stderr})
		if said := stdout.String() + stderr.String(); code != tt.code || !strings.Contains(said, tt.says) {
			t.Errorf("shop %v: exit %d, want %d and a word of %q:\n%s", tt.args, code, tt.code, tt.says, said)
		}
	}
}
