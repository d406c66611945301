package main

import (
	"bytes"
	"strings"
	"testing"
)

const aDSN = "postgres://shop_rw:hunter2@127.0.0.1:5432/shop"

// Everything that is wrong is reported at once, by the name of its setting, and
// no secret is repeated.
func TestConfigurationErrors(t *testing.T) {
	tests := []struct {
		name string
		set  func(*serveCmd)
		want []string // settings that are reported
	}{
		{"in order", func(*serveCmd) {}, nil},
		{"keyword DSN", func(c *serveCmd) { c.Nodes = "a=host=127.0.0.1 user=u password=hunter2 dbname=d" }, nil},
		{"no nodes", func(c *serveCmd) { c.Nodes = "" }, []string{"SHOP_NODES"}},
		{"a node without a name", func(c *serveCmd) { c.Nodes = aDSN }, []string{"SHOP_NODES"}},
		{"a node twice", func(c *serveCmd) { c.Nodes = "a=" + aDSN + ",a=" + aDSN }, []string{"SHOP_NODES"}},
		{"a DSN that is none", func(c *serveCmd) { c.Nodes = "a=postgres://u:hunter2@:x/" }, []string{"SHOP_NODES"}},
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
			if got := len(lines) - 2; got != len(tt.want) {
				t.Errorf("%d problems, want %d:\n%v", got, len(tt.want), err)
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

func TestReadsUseTheReadUser(t *testing.T) {
	flags := testFlags(t)
	flags.Nodes, flags.ReadUser, flags.ReadPassword = "a="+aDSN, "shop_ro", "p@ss"
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.reads.Nodes[0].ReadDSN, "postgres://shop_ro:p%40ss@127.0.0.1:5432/shop"; got != want {
		t.Errorf("read DSN %q, want %q", got, want)
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
