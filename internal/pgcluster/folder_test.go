package pgcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/pgcluster"
)

// childDir asks the test binary to be the parent that gets killed.
const childDir = "PGCLUSTER_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	dir, ok := os.LookupEnv(childDir)
	if !ok {
		os.Exit(m.Run())
	}
	c, err := pgcluster.Start(context.Background(), pgcluster.Config{Dir: dir, Replicas: 1, Settings: fast})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(c.Dir())
	select {}
}

// killedParent starts a cluster in another process and kills that one. during
// runs before the kill. It returns the folder.
func killedParent(t *testing.T, dir string, during func(dir string)) string {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("the child has not started: %v", err)
	}
	dir = strings.TrimSpace(string(line[:n]))
	for _, name := range []string{"primary", "replica-1"} {
		if len(processesIn(t, filepath.Join(dir, name))) == 0 {
			t.Fatalf("%s does not run: nothing would be shown", name)
		}
	}
	during(dir)
	return dir
}

func TestKilledParentLeavesNothing(t *testing.T) {
	t.Parallel()
	var data []string
	dir := killedParent(t, "", func(dir string) {
		// A frozen server, and one that a second terminal started.
		c, err := pgcluster.Attach(dir)
		if err != nil {
			t.Fatal(err)
		}
		do(t, node(t, c, "replica-1").Kill)
		do(t, node(t, c, "replica-1").Start)
		do(t, node(t, c, "primary").Freeze)
		for _, n := range c.Nodes() {
			data = append(data, filepath.Join(dir, n.Name()))
		}
	})
	waitFor(t, "the end of the servers and of "+dir, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
	for _, d := range data {
		if left := processesIn(t, d); len(left) > 0 {
			t.Errorf("%s: processes %v are left", d, left)
		}
	}
}

func TestKilledParentKeepsDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(reachable(t), "kept")
	killedParent(t, dir, func(string) {})
	// Start has to wait for the watchdog of the dead parent, then find the data.
	c := start(t, pgcluster.Config{Dir: dir, Roles: []string{}})
	if got := query[int](t, node(t, c, "primary"), "postgres", "SELECT count(*) FROM pg_stat_replication"); got != 1 {
		t.Errorf("%d standbys after reopening, want 1", got)
	}
}

func TestSecondTerminal(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, Async: true})
	second, err := pgcluster.Attach(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := node(t, second, "replica-1"), node(t, c, "replica-1")
	if theirs.DSN("shop_ro") != ours.DSN("shop_ro") {
		t.Errorf("DSN %s, want %s", theirs.DSN("shop_ro"), ours.DSN("shop_ro"))
	}
	do(t, theirs.PauseReplay)
	if !status(t, ours).ReplayPaused {
		t.Error("the second terminal's pause is not seen by the first")
	}
	do(t, theirs.Kill)
	do(t, theirs.Start)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if st := status(t, ours); st.Role != pgcluster.RoleStandby || st.Pid != recordedPid(t, c, "replica-1") {
		t.Errorf("after the second terminal closed: %+v, recorded pid %d", st, recordedPid(t, c, "replica-1"))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if left := processesIn(t, filepath.Join(c.Dir(), "replica-1")); len(left) > 0 {
		t.Errorf("Close left %v, which the second terminal had started", left)
	}
	if err := theirs.Start(ctx(t)); err == nil {
		t.Error("a verb ran on a closed cluster")
	}
	if err := ours.Start(ctx(t)); err == nil {
		t.Error("a verb ran on a closed cluster")
	}
	if _, err := pgcluster.Attach(c.Dir()); err == nil {
		t.Error("attached to a cluster that is gone")
	}
}

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
	exec(t, node(t, c, "replica-1"), "postgres", "SET synchronous_commit = local; INSERT INTO planted VALUES ('kept')")
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

func recordedPid(t *testing.T, c *pgcluster.Cluster, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir(), "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st struct {
		Nodes []struct {
			Name string
			Pid  int
		}
	}
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	for _, n := range st.Nodes {
		if n.Name == name {
			return n.Pid
		}
	}
	return 0
}

// processesIn finds a server's processes by another way than the code under
// test does: their command lines, and their parents'.
func processesIn(t *testing.T, data string) []int {
	t.Helper()
	out, err := osexec.Command("ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args=").Output()
	if err != nil {
		t.Skipf("no ps on %s: %v", runtime.GOOS, err)
	}
	var found []int
	ours := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[2], "Z") {
			continue
		}
		if ours[f[1]] || strings.HasSuffix(strings.TrimSpace(line), "-D "+data) {
			ours[f[0]] = true
			pid, _ := strconv.Atoi(f[0])
			found = append(found, pid)
		}
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
