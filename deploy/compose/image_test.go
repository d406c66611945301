package compose

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A scratch is what the Dockerfile makes: the program alone in an empty root that it
// may not write to, run by a user that is nobody.
type scratch struct {
	root  string
	env   []string
	alone bool // in that root; only root can do that
}

func newScratch(t *testing.T, s *servers) *scratch {
	t.Helper()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	const build = "CGO_ENABLED=0 go build -ldflags='-s -w' -o /shop ./cmd/shop"
	for _, line := range []string{build, "\nFROM scratch\n", "\nUSER 65532:65532\n", ` CMD ["/shop", "health"]`} {
		if !strings.Contains(string(dockerfile), line) {
			t.Fatalf("the Dockerfile has no %q; this test is about another one", line)
		}
	}
	c := &scratch{root: s.file("root"), alone: os.Geteuid() == 0}
	if err := os.Mkdir(c.root, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(build, "/shop ", c.root+"/shop ", 1))
	cmd.Dir = abs(t, "../..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	for _, secret := range []string{"pgpass", "token_key"} {
		if err := os.WriteFile(filepath.Join(c.root, secret), []byte(s.secret(t, secret)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !c.alone {
		t.Log("NOT RUN: an empty root needs the right to change it; the program runs in this one")
	}
	return c
}

func (c *scratch) path(name string) string {
	if c.alone {
		return "/" + name
	}
	return filepath.Join(c.root, name)
}

func (c *scratch) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path("shop"), args...)
	cmd.Env = c.env // and no PATH, HOME or anything else
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = c.root
	if c.alone {
		cmd.Dir = "/"
		cmd.SysProcAttr.Chroot = c.root
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532, NoSetGroups: true}
	}
	return cmd
}

// tryTheShop goes through migrate, seed, serve and health as docker-compose.yml has it.
func tryTheShop(t *testing.T, s *servers, free int) {
	c := newScratch(t, s)
	var nodes, hosts []string
	for _, name := range []string{"db-replica-1", "db-replica-2", "db-primary"} { // the primary last
		nodes = append(nodes, fmt.Sprintf("%s=postgres://shop_rw@%s/shop?sslmode=disable", name, s.nodes[name].peer()))
		hosts = append(hosts, s.nodes[name].peer())
	}
	c.env = []string{
		"PGPASSFILE=" + c.path("pgpass"), "SHOP_TOKEN_KEY_FILE=" + c.path("token_key"),
		"SHOP_MIGRATE_DSN=postgres://shop_owner@" + strings.Join(hosts, ",") + "/shop?sslmode=disable&target_session_attrs=read-write",
		"SHOP_NODES=" + strings.Join(nodes, ","), "SHOP_READ_USER=shop_ro", fmt.Sprintf("SHOP_ADDR=127.0.0.1:%d", free),
	}
	for range 2 { // "up" does it each time
		for _, args := range [][]string{{"migrate", "up"}, {"seed", "--if-empty", "--products", "50"}} {
			if out, err := c.command(t.Context(), args...).CombinedOutput(); err != nil {
				t.Fatalf("shop %s: %v\n%s", args, err, out)
			}
		}
	}
	serve := c.command(context.WithoutCancel(t.Context()), "serve")
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil {
			t.Errorf("serve: %v\n%s", err, log.String())
		}
	}()
	eventually(t, "shop health succeeds", func() bool {
		out, err := c.command(t.Context(), "health").CombinedOutput()
		return err == nil && strings.Contains(string(out), `"ready"`)
	})
}
