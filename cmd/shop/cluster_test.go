package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// TestClusterVerbs drives a cluster the way a second terminal does.
func TestClusterVerbs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cfg := clusterConfig()
	cfg.Settings = map[string]string{"fsync": "off", "shared_buffers": "16MB"}
	cluster, err := pgcluster.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()

	steps := []struct {
		args, out, err string // out and err are parts of what is expected
	}{
		{args: "status", out: "replica-2"},
		{args: "pause replica-1", out: "replica-1 paused"},
		{args: "status", out: "paused"},
		{args: "resume", out: "replica-1 resumed\nreplica-2 resumed\n"},
		{args: "pause replica-9", err: "there are primary, replica-1, replica-2"},
		{args: "sql replica-1 TABLE(pg_is_in_recovery())", err: "42601"},
		{args: "sql replica-1 VALUES(pg_is_in_recovery(),2),(true,3)", out: "t\t2\nt\t3\nSELECT 2\n"},
		{args: "freeze replica-1", out: "replica-1 frozen"},
		{args: "status", out: "frozen"},
		{args: "thaw replica-1", out: "replica-1 thawed"},
		{args: "stop replica-1", out: "replica-1 stopped"},
		{args: "status", out: "down"},
		{args: "start replica-1", out: "replica-1 started"},
		{args: "promote replica-1", err: "primary still is a primary"},
		{args: "kill primary", out: "primary killed"},
		{args: "freeze replica-2", out: "replica-2 frozen"},
		{args: "promote replica-1", err: "replica-2 is frozen"},
		{args: "thaw replica-2", out: "thawed"},
		{args: "stop replica-2", out: "stopped"},
		{args: "promote replica-1", err: "primary and replica-2 are down"},
		{args: "choose", err: "primary and replica-2 are down"},
		{args: "start replica-2", out: "started"},
		{args: "choose", out: "of 2 standbys 2 were asked"},
		{args: "promote replica-1 --force", out: "replica-1 is the primary"},
		{args: "choose", err: "replica-1 still is a primary"},
		{args: "rejoin primary", out: "primary is a standby of the current primary"},
		{args: "rejoin replica-2", out: "replica-2 is a standby"},
		{args: "rejoin replica-1", err: "it is the primary"},
		{args: "rebuild replica-1", err: "it is the primary"},
		{args: "rebuild replica-2", out: "replica-2 is a new copy"},
		{args: "add", out: "replica-3=postgres://shop_rw:"},
		{args: "status", out: "replica-3  standby"},
		{args: "resume replica-3", out: "replica-3 resumed"},
	}
	for _, step := range steps {
		out, err := runCluster(ctx, strings.Fields(step.args), cluster.Dir())
		if step.err == "" && err != nil || step.err != "" && (err == nil || !strings.Contains(err.Error(), step.err)) {
			t.Fatalf("cluster %s: error %v, want %q", step.args, err, step.err)
		}
		if !strings.Contains(out, step.out) {
			t.Fatalf("cluster %s printed %q, want %q in it", step.args, out, step.out)
		}
	}
	for _, n := range cluster.Nodes() {
		st, err := n.Status(ctx)
		want := pgcluster.RoleStandby
		if n.Name() == "replica-1" {
			want = pgcluster.RolePrimary
		}
		if err != nil || st.Role != want || st.Timeline != 2 {
			t.Errorf("%s ended as %+v, %v", n.Name(), st, err)
		}
	}
}

// TestChoose: the rule by itself.
func TestChoose(t *testing.T) {
	standby := func(timeline uint32, received pgcluster.LSN) pgcluster.Status {
		return pgcluster.Status{Role: pgcluster.RoleStandby, Timeline: timeline, Received: received}
	}
	down, frozen := pgcluster.Status{Role: pgcluster.RoleDown}, pgcluster.Status{Role: pgcluster.RoleFrozen}
	for name, tt := range map[string]struct {
		seen []pgcluster.Status
		want int // index; negative: nobody
		err  string
	}{
		"the one that has received most": {[]pgcluster.Status{down, standby(1, 10), standby(1, 20)}, 2, ""},
		"of equals the first":            {[]pgcluster.Status{down, standby(1, 20), standby(1, 20)}, 1, ""},
		"not the one on a dead timeline": {[]pgcluster.Status{down, standby(1, 90), standby(2, 20)}, 2, ""},
		"of three":                       {[]pgcluster.Status{standby(1, 5), down, standby(1, 7), standby(1, 6)}, 2, ""},
		"one does not answer":            {[]pgcluster.Status{down, standby(1, 10), down}, -1, "are down"},
		"one is frozen":                  {[]pgcluster.Status{down, standby(1, 10), frozen}, -1, "is frozen"},
		"the primary is frozen":          {[]pgcluster.Status{frozen, standby(1, 10), standby(1, 10)}, -1, "is frozen"},
		"the primary lives":              {[]pgcluster.Status{{Role: pgcluster.RolePrimary}, standby(1, 10)}, -1, "still is a primary"},
		"no standby":                     {[]pgcluster.Status{down}, -1, "no standby"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []sight
			for _, st := range tt.seen {
				seen = append(seen, sight{new(pgcluster.Node), st})
			}
			best, err := choose(seen)
			if tt.want < 0 {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || best.node != seen[tt.want].node {
				t.Errorf("%+v, %v", best, err)
			}
		})
	}
}

// TestChooseLosesNoOrderToAStandbyPastTheFork: of the two that are left one has every order
// of the second primary. The other has a higher LSN, and files of the same timeline.
func TestChooseLosesNoOrderToAStandbyPastTheFork(t *testing.T) {
	t.Parallel()
	cfg := clusterConfig()
	cfg.Async, cfg.Settings = true, map[string]string{"fsync": "off", "shared_buffers": "16MB"}
	cluster, err := pgcluster.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	successor, ahead := dbtest.PastTheFork(t, cluster, func() {})
	follows := cluster.Nodes()[0]
	dbtest.Do(t, follows.Rejoin)
	if err := execOn(t.Context(), successor, "CREATE TABLE ordered ()"); err != nil {
		t.Fatal(err)
	}
	awaitTable(t, follows)
	dbtest.Do(t, successor.Kill)
	out, err := runCluster(t.Context(), []string{"choose"}, cluster.Dir())
	if want := "promote " + follows.Name() + ": "; err != nil || !strings.Contains(out, want) {
		t.Errorf("choose printed %q, %v, want %q", out, err, want)
	}
	out, err = runCluster(t.Context(), []string{"promote", ahead.Name()}, cluster.Dir())
	if want := "on timeline 1: promote " + follows.Name(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("promote of the one past the fork: %q, %v, want %q", out, err, want)
	}
}

// awaitTable waits for the order.
func awaitTable(t *testing.T, n *pgcluster.Node) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	dbtest.Eventually(t, "the order is on "+n.Name(), func() (there bool) {
		if err := conn.QueryRow(t.Context(), "SELECT to_regclass('ordered') IS NOT NULL").Scan(&there); err != nil {
			t.Fatal(err)
		}
		return there
	})
}

// TestClusterPromoteRefusesTheLaggard: a commit that any one standby
// acknowledged must not be promoted away.
func TestClusterPromoteRefusesTheLaggard(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cfg := clusterConfig()
	cfg.Settings = map[string]string{"fsync": "off", "shared_buffers": "16MB"}
	cluster, err := pgcluster.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	run := func(args string) error {
		_, err := runCluster(ctx, strings.Fields(args), cluster.Dir())
		return err
	}
	primary, err := cluster.Node("primary")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return run("stop replica-1") },
		func() error { return execOn(ctx, primary, "CREATE TABLE planted ()") },
		func() error { return run("kill primary") },
		func() error { return run("start replica-1") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := run("promote replica-1"); err == nil || !strings.Contains(err.Error(), "promote replica-2") {
		t.Fatalf("promoting the laggard: %v", err)
	}
	if err := run("promote replica-2"); err != nil {
		t.Fatal(err)
	}
}

func execOn(ctx context.Context, n *pgcluster.Node, sql string) error {
	conn, err := pgx.Connect(ctx, n.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// TestClusterUp holds a cluster and lets go of it when its context ends.
func TestClusterUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, w := io.Pipe()
	defer r.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- (&clusterUpCmd{Replicas: 0}).Run(ctx, &app{stdout: w, stderr: io.Discard})
		w.Close()
	}()
	var dir string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "SHOP_CLUSTER_DIR="); ok {
			dir = after
			if _, err := os.Stat(dir); err != nil {
				t.Error(err)
			}
			cancel()
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("the folder %q is left: %v", dir, err)
	}
}

// runCluster parses and runs "shop cluster <args> --dir dir".
func runCluster(ctx context.Context, args []string, dir string) (string, error) {
	var cli struct {
		Cluster clusterCmd `cmd:""`
	}
	var out bytes.Buffer
	parser, err := kong.New(&cli, kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&app{stdout: &out, stderr: io.Discard}), kong.Exit(func(int) {}))
	if err != nil {
		return "", err
	}
	parsed, err := parser.Parse(append([]string{"cluster"}, append(args, "--dir", dir)...))
	if err != nil {
		return "", err
	}
	err = parsed.Run()
	return out.String(), err
}
