package pgcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// create builds a new cluster. The standbys are copies of the data folder that
// initdb made, taken before it ever ran, and stream everything since: a third of
// the time of a base backup each.
func (c *Cluster) create(ctx context.Context) error {
	primary := c.addNode("primary")
	for i := range c.cfg.Replicas {
		c.addNode(fmt.Sprintf("replica-%d", i+1))
	}
	c.passwords = map[string]string{superuser: password(), replicator: password()}
	for _, role := range c.cfg.Roles {
		c.passwords[role] = password()
	}
	roles := map[string]Role{}
	for _, n := range c.Nodes() {
		roles[n.name] = RoleStandby
		if err := c.makeData(n.data); err != nil {
			return err
		}
	}
	roles[primary.name] = RolePrimary
	if err := c.save(false, roles); err != nil {
		return err
	}
	c.step("initdb of %s with %s", primary.name, c.bin)
	if err := primary.initdb(ctx); err != nil {
		return err
	}
	standbys := c.Nodes()[1:]
	if err := c.each(standbys, func(n *Node) error { return n.copyCold(ctx, primary) }); err != nil {
		return err
	}
	// Not synchronous yet: the first commits would wait for standbys to come.
	if err := primary.launchOnFreePort(ctx, nil, false); err != nil {
		return fmt.Errorf("%s: %w", primary.name, err)
	}
	if err := c.createRoles(ctx, primary); err != nil {
		return fmt.Errorf("create roles: %w", err)
	}
	if err := primary.makeSlots(ctx); err != nil {
		return err
	}
	err := c.each(c.Nodes(), func(n *Node) error {
		if n == primary {
			return c.createDatabase(ctx, primary)
		}
		c.step("start %s", n.name)
		if err := n.launchOnFreePort(ctx, primary, true); err != nil {
			return err
		}
		return n.makeSlots(ctx)
	})
	if err != nil {
		return err
	}
	if err := c.settle(ctx, primary, standbys); err != nil {
		return err
	}
	return c.save(true, roles)
}

// settle waits until the standbys stream, then makes the primary synchronous.
func (c *Cluster) settle(ctx context.Context, primary *Node, standbys []*Node) error {
	if err := primary.writeConf(nil, true); err != nil {
		return err
	}
	if err := primary.exec(ctx, superuser, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	for _, n := range standbys {
		if err := n.waitStreaming(ctx, primary); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		c.step("%s streams from %s", n.name, primary.name)
	}
	return nil
}

// makeData makes an empty data folder, the servers' own.
func (c *Cluster) makeData(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return c.as.Own(path)
}

func (n *Node) initdb(ctx context.Context) error {
	pwfile := n.c.file("pwfile")
	defer func() { _ = os.Remove(pwfile) }()
	if err := n.c.as.writeFile(pwfile, n.c.passwords[superuser]+"\n"); err != nil {
		return err
	}
	locale := "C" // byte order is the same; macOS has no C.UTF-8 before 15
	if runtime.GOOS == "linux" {
		locale = "C.UTF-8"
	}
	err := n.c.run(ctx, "", "initdb", "-D", n.data, "-U", superuser, "--pwfile", pwfile,
		"--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale="+locale, "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	conf, err := os.OpenFile(n.file("postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conf, "\ninclude '%s'\n", confFile)
	if err := errors.Join(err, conf.Close()); err != nil {
		return err
	}
	return n.c.as.writeFile(n.file("pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n"+
		"host replication "+replicator+" 127.0.0.1/32 scram-sha-256\n")
}

// copyCold makes n a standby from a primary that is shut down.
func (n *Node) copyCold(ctx context.Context, primary *Node) error {
	if err := n.c.runPath(ctx, "", "cp", "-R", primary.data+"/.", n.data); err != nil {
		return err
	}
	return n.markStandby()
}

// launchOnFreePort gives the node a port and starts it, again with another port
// when someone else was faster.
func (n *Node) launchOnFreePort(ctx context.Context, following *Node, sync bool) (err error) {
	for range 5 {
		if n.port == 0 {
			if n.port, err = FreePort(ctx); err != nil {
				return err
			}
		}
		if err := n.writeConf(following, sync); err != nil {
			return err
		}
		if err = n.launch(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
		n.port = 0
	}
	return err
}

func (c *Cluster) createRoles(ctx context.Context, primary *Node) error {
	sql := []string{"CREATE ROLE " + replicator + " LOGIN REPLICATION PASSWORD '" + c.passwords[replicator] + "'"}
	for _, role := range c.cfg.Roles {
		sql = append(sql, "CREATE ROLE "+pgx.Identifier{role}.Sanitize()+" LOGIN PASSWORD '"+c.passwords[role]+"'")
	}
	return primary.exec(ctx, superuser, strings.Join(sql, ";"))
}

func (c *Cluster) createDatabase(ctx context.Context, primary *Node) error {
	if c.cfg.Database != superuser {
		owner := append(slices.Clone(c.cfg.Roles), superuser)[0]
		sql := "CREATE DATABASE " + pgx.Identifier{c.cfg.Database}.Sanitize() + " OWNER " + pgx.Identifier{owner}.Sanitize()
		if err := primary.exec(ctx, superuser, sql); err != nil {
			return err
		}
	}
	if c.cfg.InitSQL == "" {
		return nil
	}
	if err := primary.exec(ctx, c.cfg.Database, c.cfg.InitSQL); err != nil {
		return fmt.Errorf("InitSQL: %w", err)
	}
	return nil
}

// run executes one of PostgreSQL's tools as the servers' user. Its error carries
// what the tool said.
func (c *Cluster) run(ctx context.Context, pass, tool string, args ...string) error {
	return c.runPath(ctx, pass, filepath.Join(c.bin, tool), args...)
}

func (c *Cluster) runPath(ctx context.Context, pass, tool string, args ...string) error {
	cmd := c.command(exec.CommandContext(ctx, tool, args...))
	if pass != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+pass)
	}
	// pg_basebackup has a child of its own, which would go on writing.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", filepath.Base(tool), context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w:\n  %s", filepath.Base(tool), err, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n  "))
	}
	return nil
}

// command sets what all children share. The environment is made anew: PGDATA,
// PGOPTIONS, PGSSLMODE or a locale of the caller would change what they do.
func (c *Cluster) command(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = c.as.ProcAttr()
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "HOME=" + c.dir, "LC_ALL=C", "PGSSLMODE=disable"}
	for _, name := range []string{"LD_LIBRARY_PATH", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func password() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}
