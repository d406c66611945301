package main

import (
	"context"
	"crypto/rand"
	_ "embed" // for the configuration
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/migrations"
)

//go:embed patroni.yml
var configuration string

// size is the number of Patroni's nodes and of etcd's members.
const size = 3

// cluster is Patroni and etcd, all on this machine. Every process of a member works
// in its folder, or below it: that is how they are found.
type cluster struct {
	dir       string
	bin       string
	as        pgcluster.Account
	passwords map[string]string
	etcd      []*member
	nodes     []*member
}

// member is one process that we start, with whatever it starts.
type member struct {
	name string
	dir  string
	log  string
	args []string
	port int // of PostgreSQL, or of etcd's clients
	rest int // of Patroni, or of etcd's peers

	pid  int
	gone chan struct{} // closed when the process has ended
}

// missing names what is not installed of what the drill needs.
func missing(ctx context.Context) error {
	var absent []string
	for tool, pkg := range map[string]string{"patroni": "patroni", "etcd": "etcd-server"} {
		if _, err := exec.LookPath(tool); err != nil {
			absent = append(absent, pkg)
		}
	}
	slices.Sort(absent)
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return errors.New("this needs Linux: processes are found through /proc")
	}
	if len(absent) > 0 {
		return fmt.Errorf("install what is missing: apt-get install %s", strings.Join(absent, " "))
	}
	_, err := pgcluster.FindBin(ctx)
	return err
}

// newCluster prepares the folder of a run; nothing is started yet.
func newCluster(ctx context.Context, dir string) (c *cluster, err error) {
	c = &cluster{dir: dir, passwords: map[string]string{}}
	if c.bin, err = pgcluster.FindBin(ctx); err != nil {
		return nil, err
	}
	if c.as, err = pgcluster.ServerAccount(); err != nil {
		return nil, err
	}
	for _, role := range append([]string{"postgres", "replicator", "rewinder"}, migrations.Roles...) {
		c.passwords[role] = password()
	}
	for i := range size {
		for _, made := range []struct {
			into *[]*member
			name string
		}{{&c.etcd, "etcd"}, {&c.nodes, "pg"}} {
			m, err := c.newMember(ctx, fmt.Sprintf("%s-%d", made.name, i+1))
			if err != nil {
				return nil, err
			}
			*made.into = append(*made.into, m)
		}
	}
	for _, m := range c.etcd {
		m.args = c.etcdArgs(m)
	}
	for _, m := range c.nodes {
		if err := c.configure(m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func password() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}

func (c *cluster) newMember(ctx context.Context, name string) (m *member, err error) {
	m = &member{name: name, dir: filepath.Join(c.dir, name), log: filepath.Join(c.dir, name+".log")}
	if m.port, err = pgcluster.FreePort(ctx); err != nil {
		return nil, err
	}
	if m.rest, err = pgcluster.FreePort(ctx); err != nil {
		return nil, err
	}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	return m, c.as.Own(m.dir)
}

// etcdArgs are those of the quick start in etcd's clustering guide. Heartbeat and
// election are slower than its defaults: three members share one disk with three
// servers, and an election would be taken for a fault of Patroni's.
func (c *cluster) etcdArgs(m *member) []string {
	at := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	var peers []string
	for _, other := range c.etcd {
		peers = append(peers, other.name+"="+at(other.rest))
	}
	return []string{
		"etcd", "--name", m.name, "--data-dir", filepath.Join(m.dir, "data"),
		"--listen-client-urls", at(m.port), "--advertise-client-urls", at(m.port),
		"--listen-peer-urls", at(m.rest), "--initial-advertise-peer-urls", at(m.rest),
		"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-state", "new",
		"--heartbeat-interval", "250", "--election-timeout", "2500", "--logger", "zap", "--log-level", "warn",
	}
}

// configure fills in patroni.yml.
func (c *cluster) configure(m *member) error {
	var hosts []string
	for _, e := range c.etcd {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", e.port))
	}
	values := map[string]string{
		"NAME": m.name, "REST_PORT": fmt.Sprint(m.rest), "PG_PORT": fmt.Sprint(m.port),
		"ETCD": strings.Join(hosts, ","), "DATA": filepath.Join(m.dir, "data"), "BIN": c.bin,
		"SUPERUSER_PASSWORD": c.passwords["postgres"], "REPLICATOR_PASSWORD": c.passwords["replicator"],
		"REWINDER_PASSWORD": c.passwords["rewinder"],
	}
	text := os.Expand(configuration, func(name string) string {
		value, ok := values[name]
		if !ok && name != "..." { // the comment says ${...}
			panic("patroni.yml asks for ${" + name + "}")
		}
		return value
	})
	path := filepath.Join(m.dir, "patroni.yml")
	m.args = []string{"patroni", path}
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), c.as.Own(path))
}
