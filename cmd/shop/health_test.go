package main

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// TestHealthCommand: what a container's health check sees. A shop that can only be
// browsed is healthy; one without any database is not, and nor is none.
func TestHealthCommand(t *testing.T) {
	s := newShop(t)
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	health := func(addr string) (code int, said string) {
		var out bytes.Buffer
		code = run(t.Context(), []string{"health", "--addr", addr}, &app{&out, &out})
		return code, out.String()
	}
	if code, said := health(":" + at.Port()); code != 0 || !strings.Contains(said, `"ready"`) {
		t.Errorf("ready: exit %d, %s", code, said)
	}
	nodes := s.Cluster.Nodes()
	t.Cleanup(func() {
		for _, n := range nodes {
			dbtest.Do(t, n.Thaw)
		}
	})
	dbtest.Do(t, s.Primary().Freeze)
	dbtest.Eventually(t, "degraded, and healthy", func() bool {
		code, said := health(at.Host)
		return code == 0 && strings.Contains(said, `"degraded"`)
	})
	for _, n := range nodes {
		dbtest.Do(t, n.Freeze)
	}
	dbtest.Eventually(t, "not healthy", func() bool {
		code, said := health(at.Host)
		return code == 1 && strings.Contains(said, "503")
	})
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	if code, _ := health(nobody.Addr().String()); code != 1 {
		t.Errorf("nobody listens: exit %d", code)
	}
	if code, said := health("8080"); code != 1 || !strings.Contains(said, "SHOP_ADDR") {
		t.Errorf("no address: exit %d, %s", code, said)
	}
}

func TestReachable(t *testing.T) {
	for listen, dial := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080",
		"10.1.2.3:80": "10.1.2.3:80", "shop:80": "shop:80",
	} {
		if got, err := reachable(listen); err != nil || got != dial {
			t.Errorf("%s: %s, %v; want %s", listen, got, err, dial)
		}
	}
}

// TestSeedIfEmpty: starting everything a second time must not fail.
func TestSeedIfEmpty(t *testing.T) {
	t.Parallel()
	env := dbtest.New(t)
	primary := env.Primary()
	nodes := flagsOf([]fresh.NodeConfig{{Name: "primary", WriteDSN: env.DSN(primary, "shop_rw"), ReadDSN: env.DSN(primary, "shop_ro")}})
	for i, want := range []string{"loaded 20 products", "nothing is loaded"} {
		var out bytes.Buffer
		code := run(t.Context(), []string{
			"seed", "--products", "20", "--if-empty",
			"--nodes", nodes.Nodes, "--read-user", nodes.ReadUser, "--read-password", nodes.ReadPassword,
		}, &app{&out, &out})
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("time %d: exit %d, %s", i+1, code, out.String())
		}
	}
}

func TestTheTokenKeyMayBeInAFile(t *testing.T) {
	flags := testFlags(t)
	flags.Nodes = "a=" + aDSN
	flags.TokenKeyFile = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(flags.TokenKeyFile, []byte(flags.TokenKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := flags.settings(); err == nil || !strings.Contains(err.Error(), "SHOP_TOKEN_KEY_FILE") {
		t.Errorf("both: %v", err)
	}
	inFlag := testFlags(t)
	inFlag.Nodes, flags.TokenKey = flags.Nodes, ""
	fromFile, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	other, err := inFlag.settings()
	if err != nil {
		t.Fatal(err)
	}
	sealed := other.keys.Seal(fresh.Position{Timeline: 1, LSN: 42})
	if pos, err := fromFile.keys.Open(sealed); err != nil || pos.LSN != 42 {
		t.Errorf("it is another key: %v, %v", pos, err)
	}
	flags.TokenKeyFile = t.TempDir() // a folder
	if _, err := flags.settings(); err == nil {
		t.Error("what cannot be read is no error")
	}
}
