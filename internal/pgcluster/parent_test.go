package pgcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

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

// killedParent starts a cluster in another process and kills that one with its
// whole process group. during runs before the kill. It returns the folder.
func killedParent(t *testing.T, dir string, during func(dir string)) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does, so that all of it can be killed
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
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
	var pids []int
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
			pids = append(pids, processesIn(t, filepath.Join(dir, n.Name()))...)
		}
	})
	waitFor(t, "the end of the servers and of "+dir, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
	if left := running(t, pids); len(left) > 0 {
		t.Errorf("processes %v are left", left)
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
	do(t, theirs.Rejoin) // which writes its configuration anew
	if got := query[string](t, ours, "postgres", "SHOW fsync"); got != fast["fsync"] {
		t.Errorf("after the second terminal's rejoin fsync is %s: the settings of the first are lost", got)
	}
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

// processesIn finds a server's processes in another way than the code under test
// does: by command line and parents.
func processesIn(t *testing.T, data string) []int {
	t.Helper()
	return ps(t, func(ours map[string]bool, pid, ppid, args string) bool {
		return ours[ppid] || strings.HasSuffix(args, "-D "+data)
	})
}

// running returns those of the pids that still are processes.
func running(t *testing.T, pids []int) []int {
	t.Helper()
	return ps(t, func(_ map[string]bool, pid, _, _ string) bool {
		n, err := strconv.Atoi(pid)
		return err == nil && slices.Contains(pids, n)
	})
}

// ps lists the live processes that match; ours are those that did before.
func ps(t *testing.T, match func(ours map[string]bool, pid, ppid, args string) bool) (found []int) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[2], "Z") || !match(ours, f[0], f[1], strings.TrimSpace(line)) {
			continue
		}
		ours[f[0]] = true
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}
