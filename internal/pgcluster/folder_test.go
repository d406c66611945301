package pgcluster_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/pgcluster"
)

func TestKeptAndReopened(t *testing.T) {
	t.Parallel()
	cfg := pgcluster.Config{Dir: filepath.Join(reachable(t), "kept"), Replicas: 1, InitSQL: "CREATE TABLE planted (what text)"}
	c := start(t, cfg)
	if _, err := pgcluster.Start(ctx(t), cfg); err == nil || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second owner got %v, want an error that names our pid", err)
	}
	do(t, node(t, c, "primary").Kill)
	do(t, node(t, c, "replica-1").Promote)
	// Nobody follows the promoted node yet.
	execSQL(t, node(t, c, "replica-1"), "postgres", "SET synchronous_commit = local; INSERT INTO planted VALUES ('kept')")
	dsn := node(t, c, "primary").DSN("shop_owner")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgcluster.Attach(cfg.Dir); err == nil {
		t.Error("attached to a cluster that does not run")
	}

	again := start(t, cfg)
	primary, err := again.Primary(ctx(t))
	if err != nil || primary.Name() != "replica-1" {
		t.Fatalf("reopened with primary %v, %v", primary, err)
	}
	old := node(t, again, "primary")
	if old.DSN("shop_owner") != dsn {
		t.Errorf("DSN %s became %s", dsn, old.DSN("shop_owner"))
	}
	if st := status(t, old); st.Role != pgcluster.RoleStandby || !st.Streaming {
		t.Errorf("the old primary: %+v", st)
	}
	waitFor(t, "the row", func() bool { return query[int](t, old, "postgres", "SELECT count(*) FROM planted") == 1 })
}

// TestReopenedAfterPromotionsThatNobodyWroteDown: whoever promoted died before cluster.json
// could say so, twice, and the second time back to a node that the file names before others.
// What was acknowledged is on the newest timeline alone.
func TestReopenedAfterPromotionsThatNobodyWroteDown(t *testing.T) {
	t.Parallel()
	cfg := pgcluster.Config{Dir: filepath.Join(reachable(t), "kept"), Replicas: 2, InitSQL: "CREATE TABLE planted (what text)"}
	for _, promoted := range []string{"replica-2", "replica-1"} {
		c := start(t, cfg)
		primary, err := c.Primary(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		next := node(t, c, promoted)
		do(t, primary.Kill)
		query[bool](t, next, "postgres", "SELECT pg_promote()") // and not Promote, which would write it down
		execSQL(t, next, "postgres", "SET synchronous_commit = local; INSERT INTO planted VALUES ('"+promoted+"')")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, cfg)
	primary, err := again.Primary(ctx(t))
	if err != nil || primary.Name() != "replica-1" {
		t.Fatalf("reopened with primary %v, %v", primary, err)
	}
	if got := query[string](t, primary, "postgres", "SELECT string_agg(what, ',' ORDER BY what) FROM planted"); got != "replica-1,replica-2" {
		t.Errorf("there is %q of what was acknowledged", got)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1})
	got := map[string]os.FileMode{}
	for _, name := range []string{".", "cluster.json", "primary", "replica-1", "primary.log", "primary/pgcluster.conf"} {
		info, err := os.Stat(filepath.Join(c.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = info.Mode().Perm()
	}
	want := map[string]os.FileMode{
		".": 0o711, "cluster.json": 0o600, "primary": 0o700, "replica-1": 0o700, "primary.log": 0o600, "primary/pgcluster.conf": 0o600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if exists(filepath.Join(c.Dir(), "pwfile")) {
		t.Error("the superuser's password file is left")
	}
}

func TestForeignFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	write(t, filepath.Join(dir, "thesis.tex"), "irreplaceable")
	_, err := pgcluster.Start(ctx(t), pgcluster.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder now holds %v, %v", entries, err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(reachable(t), "new")
	_, err := pgcluster.Start(ctx(t), pgcluster.Config{Dir: dir, InitSQL: "SELECT no_such_function()", Settings: fast})
	if err == nil || !strings.Contains(err.Error(), "no_such_function") {
		t.Errorf("got %v", err)
	}
	if exists(dir) {
		t.Error("the folder is left")
	}
}

func TestMissingBinaries(t *testing.T) {
	t.Setenv("SHOP_PG_BIN", t.TempDir())
	_, err := pgcluster.Start(ctx(t), pgcluster.Config{})
	if err == nil || !strings.Contains(err.Error(), "SHOP_PG_BIN") {
		t.Errorf("got %v", err)
	}
}

// reachable is a folder that the servers' user may enter, when the test is root.
func reachable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // the outer one is 0700
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
