package pgcluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/leeway/internal/pgcluster"
)

// TestAdd adds a standby from a second terminal, and has it take part in a failover.
func TestAdd(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, InitSQL: "CREATE TABLE planted (what text)"})
	second, err := pgcluster.Attach(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	added, err := second.Add(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if st := status(t, added); added.Name() != "replica-2" || st.Role != pgcluster.RoleStandby || !st.Streaming || st.SyncState != "quorum" {
		t.Fatalf("%s: %+v", added.Name(), st)
	}
	primary, next := node(t, c, "primary"), node(t, c, "replica-1")
	do(t, next.ResumeReplay) // any verb: it takes in what others have added
	added = node(t, c, "replica-2")
	for n, want := range map[*pgcluster.Node]string{
		primary: `ANY 1 ("replica-1", "replica-2")`, next: `ANY 1 ("primary", "replica-2")`, added: `ANY 1 ("primary", "replica-1")`,
	} {
		waitFor(t, n.Name()+" knows of all others", func() bool {
			return query[string](t, n, "postgres", "SHOW synchronous_standby_names") == want
		})
	}
	do(t, primary.Kill)
	do(t, next.Promote)
	do(t, added.Rejoin) // would hang if it were not waited for, or not known
	execSQL(t, next, "postgres", "INSERT INTO planted VALUES ('new')")
	waitFor(t, "the row on the standby that was added", func() bool {
		return query[int](t, added, "postgres", "SELECT count(*) FROM planted") == 1
	})
	do(t, primary.Rebuild)
	if label, err := os.ReadFile(filepath.Join(c.Dir(), "primary", "backup_label.old")); err != nil || !strings.Contains(string(label), "pg_basebackup") {
		t.Errorf("it is no new copy: %v\n%s", err, label)
	}
	// One that the owner has never heard of ends with the others.
	if added, err = second.Add(ctx(t)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(c.Dir(), added.Name())
	if len(processesIn(t, data)) == 0 {
		t.Fatalf("%s does not run: nothing would be shown", added.Name())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if pids := processesIn(t, data); len(pids) > 0 {
		t.Errorf("the owner has left %s running: %v", added.Name(), pids)
	}
}

// TestAddThatFails leaves nothing behind.
func TestAddThatFails(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Upstream: func(standby, addr string) string {
		return "nowhere" // no host:port
	}})
	primary := node(t, c, "primary")
	if _, err := c.Add(ctx(t)); err == nil {
		t.Fatal("a standby that has no upstream was added")
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), "replica-1")); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
	if nodes := c.Nodes(); len(nodes) != 1 {
		t.Errorf("%d nodes are left", len(nodes))
	}
	if slots := query[int](t, primary, "postgres", "SELECT count(*) FROM pg_replication_slots"); slots != 0 {
		t.Errorf("%d slots are left", slots)
	}
	execSQL(t, primary, "postgres", "CREATE TABLE planted ()") // nobody is waited for
}
