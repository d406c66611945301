package pgcluster_test

import (
	"os"
	"path/filepath"
	"testing"

	"example.com/leeway/internal/pgcluster"
)

// TestACopyThatFails ends in the middle: the primary has a file that it cannot read. The
// node has what it had, and no half of a copy.
func TestACopyThatFails(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, InitSQL: "CREATE TABLE planted ()"})
	primary, standby := node(t, c, "primary"), node(t, c, "replica-1")
	execSQL(t, primary, "postgres", "INSERT INTO planted DEFAULT VALUES")
	unreadable := filepath.Join(c.Dir(), "primary", "unreadable")
	if err := os.WriteFile(unreadable, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := standby.Rebuild(ctx(t)); err == nil {
		t.Fatal("the copy did not fail")
	}
	folders, err := filepath.Glob(filepath.Join(c.Dir(), "replica-1*"))
	if want := filepath.Join(c.Dir(), "replica-1"); err != nil || len(folders) != 2 || folders[0] != want || folders[1] != want+".log" {
		t.Errorf("of the node there are %v, %v", folders, err)
	}
	do(t, standby.Start)
	if n := query[int](t, standby, "postgres", "SELECT count(*) FROM planted"); n != 1 {
		t.Errorf("%d rows, and it had one", n)
	}

	// And again, with what a copy leaves whose process was killed, on data that is damaged.
	if err := os.Remove(unreadable); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{".new", ".old"} {
		if err := os.MkdirAll(filepath.Join(c.Dir(), "replica-1"+left, "base"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	do(t, standby.Kill)
	if err := os.Remove(filepath.Join(c.Dir(), "replica-1", "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	do(t, standby.Rebuild)
	if st := status(t, standby); st.Role != pgcluster.RoleStandby || !st.Streaming {
		t.Errorf("the copy: %+v", st)
	}
	if folders, err := filepath.Glob(filepath.Join(c.Dir(), "replica-1.*")); err != nil || len(folders) != 1 {
		t.Errorf("beside it there are %v, %v", folders, err)
	}
}
