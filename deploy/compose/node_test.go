package compose

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// TestFirstStart is "docker compose up" with empty volumes, all nodes at once.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	s := newServers(t, nil, "db-primary", "db-replica-1", "db-replica-2")
	primary := s.nodes["db-primary"]
	for _, n := range s.nodes {
		n.start(t)
	}
	awaitStream(t, primary, "db-replica-1", "db-replica-2")

	t.Run("every standby has its slot, and there is a limit to it", func(t *testing.T) {
		slots := query[string](t, primary, "SELECT string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name) FROM pg_replication_slots")
		if limit := query[string](t, primary, "SHOW max_slot_wal_keep_size"); slots != "db_replica_1 true, db_replica_2 true" || limit != "1GB" {
			t.Errorf("slots %q, limit %q", slots, limit)
		}
	})
	t.Run("SCRAM, and nobody is trusted over the network", func(t *testing.T) {
		for name, n := range s.nodes { // the standbys' files are copies
			if methods := query[string](t, n, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules WHERE type <> 'local'"); methods != "scram-sha-256" {
				t.Errorf("%s: over the network: %q", name, methods)
			}
		}
		if n := query[int](t, primary, "SELECT count(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'"); n != 5 {
			t.Errorf("%d roles have a SCRAM secret, not 5", n)
		}
		for _, role := range []string{"postgres", "replicator", "shop_owner", "shop_rw", "shop_ro"} {
			dsn := strings.Replace(primary.dsn(t, role, "shop"), ":"+s.secret(t, role+"_password")+"@", ":wrong@", 1)
			var pg *pgconn.PgError
			if _, err := pgx.Connect(t.Context(), dsn); !errors.As(err, &pg) || pg.Code != "28P01" { // invalid_password
				t.Errorf("%s with a wrong password: %v", role, err)
			}
		}
	})
	t.Run("no password is in the data", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(s.nodes["db-replica-1"].data(), "postgresql.auto.conf"))
		if err != nil || strings.Contains(string(text), s.secret(t, "replicator_password")) || !strings.Contains(string(text), "passfile=") {
			t.Errorf("%v\n%s", err, text)
		}
	})
	t.Run("the image's program migrates, seeds and serves", func(t *testing.T) {
		free, err := pgcluster.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tryTheShop(t, s, free)
	})
	t.Run("pause and resume", func(t *testing.T) {
		n := s.nodes["db-replica-1"]
		for _, verb := range []string{"pause", "resume"} {
			n.must(t, verb)
			if got := query[bool](t, n, "SELECT pg_is_wal_replay_paused()"); got != (verb == "pause") {
				t.Errorf("after %s: paused %v", verb, got)
			}
		}
		if out := n.must(t, "status"); !strings.HasPrefix(out, "standby timeline 1 ") || !strings.Contains(out, "follows "+primary.peer()) {
			t.Errorf("status: %s", out)
		}
	})
	t.Run("a second start changes nothing", func(t *testing.T) {
		for _, n := range s.nodes {
			n.end()
		}
		for _, n := range s.nodes {
			n.start(t)
		}
		awaitStream(t, primary, "db-replica-1", "db-replica-2")
	})
}

// TestStatusOfAStandbyPastTheFork: by its stream and its files it is on timeline 2, and
// would be promoted for its LSN.
func TestStatusOfAStandbyPastTheFork(t *testing.T) {
	t.Parallel()
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Config{Replicas: 2, Async: true, Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"}})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	bin, err := pgcluster.FindBin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	successor, ahead := dbtest.PastTheFork(t, cluster, func() {})
	for n, want := range map[*pgcluster.Node]string{successor: "primary timeline 2 ", ahead: "standby timeline 1 "} {
		config, err := pgx.ParseConfig(n.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "node.sh", "status")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PGHOST="+config.Host, fmt.Sprint("PGPORT=", config.Port), "PGPASSWORD="+config.Password,
			"PGDATA=unused", "NODE="+n.Name(), "REPLICATOR_PASSWORD_FILE=unused")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("status of %s: %s, %v, want %q", n.Name(), out, err, want)
		}
	}
}

// TestFailoverByHand goes through the steps of docs/failover.md for Compose.
func TestFailoverByHand(t *testing.T) {
	t.Parallel()
	s := newServers(t, nil, "db-primary", "db-replica-1", "db-replica-2")
	old, next, other := s.nodes["db-primary"], s.nodes["db-replica-1"], s.nodes["db-replica-2"]
	for _, n := range s.nodes {
		n.start(t)
	}
	awaitStream(t, old, next.name, other.name)
	exec1(t, old, "CREATE TABLE planted (what text); INSERT INTO planted VALUES ('kept')")
	eventually(t, "both have it", func() bool {
		a, err1 := try[int](t, next, "SELECT count(*) FROM planted")
		b, err2 := try[int](t, other, "SELECT count(*) FROM planted")
		return err1 == nil && err2 == nil && a+b == 2
	})
	// What only the old primary has, and nobody may ever see again.
	next.end()
	other.end()
	exec1(t, old, "INSERT INTO planted VALUES ('phantom')")
	old.end()
	next.start(t)
	other.start(t)
	eventually(t, "both answer", func() bool {
		_, err1 := try[int](t, next, "SELECT 1")
		_, err2 := try[int](t, other, "SELECT 1")
		return err1 == nil && err2 == nil
	})

	next.must(t, "promote")
	other.must(t, "follow", next.peer())
	exec1(t, next, "INSERT INTO planted VALUES ('new')")

	if out, err := old.do(t, "start"); err == nil || !strings.Contains(out, "rejoin "+next.peer()) {
		t.Fatalf("the old primary starts as a second one: %v\n%s", err, out)
	}
	// With nobody else up it starts, and is not to take the orders of its successor back.
	next.end()
	old.start(t)
	eventually(t, "the old primary answers", func() bool { _, err := try[int](t, old, "SELECT 1"); return err == nil })
	if out, err := next.do(t, "rejoin", old.peer()); err == nil || !strings.Contains(out, "has log of timeline 00000002") {
		t.Fatalf("the new primary is rewound to the old one: %v\n%s", err, out)
	}
	old.end()
	next.start(t)
	eventually(t, "the new primary is back", func() bool { _, err := try[int](t, next, "SELECT 1"); return err == nil })

	old.must(t, "rejoin", next.peer())
	old.start(t)
	awaitStream(t, next, old.name, other.name)
	const rows = "SELECT string_agg(what, ',' ORDER BY what) FROM planted"
	for _, n := range []*server{old, other} {
		eventually(t, "the same rows on "+n.name, func() bool { return query[string](t, n, rows) == "kept,new" })
	}
	if left := query[int](t, old, "SELECT count(*) FROM pg_replication_slots"); left != 0 {
		t.Errorf("the old primary still has %d slots, which retain WAL", left)
	}
	if _, err := old.do(t, "rejoin", next.peer()); err == nil {
		t.Error("a server that runs is rewound")
	}

	if out, err := old.beside(t, "rebuild", next.peer()); err == nil || !strings.Contains(out, "it is running") {
		t.Errorf("the data is replaced under a server that runs: %v\n%s", err, out)
	}

	// The primary is lost once more. The control file of the one that only followed still
	// names the first timeline, which must not make it look older than the other.
	old.end()
	exec1(t, next, "INSERT INTO planted VALUES ('newer')")
	eventually(t, "the one that is there has it", func() bool { return query[string](t, other, rows) == "kept,new,newer" })
	next.end()
	old.start(t)
	eventually(t, "both are cut off", func() bool {
		n, err := try[int](t, old, "SELECT count(*) FROM pg_stat_wal_receiver")
		return err == nil && n == 0 && query[int](t, other, "SELECT count(*) FROM pg_stat_wal_receiver") == 0
	})
	for _, n := range []*server{old, other} {
		if out := n.must(t, "status"); !strings.HasPrefix(out, "standby timeline 2 ") {
			t.Errorf("status of %s: %s", n.name, out)
		}
	}
	next.start(t)
	awaitStream(t, next, old.name, other.name)

	// And with a new copy, over what is there.
	other.end()
	other.must(t, "rebuild", next.peer())
	other.start(t)
	awaitStream(t, next, other.name)
	slots := strings.Split(query[string](t, next, "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots WHERE active"), " ")
	if !slices.Equal(slots, []string{"db_primary", "db_replica_2"}) {
		t.Errorf("slots in use: %q", slots)
	}
}

// TestSwitchover: a primary that was stopped in order has nothing to be rewound, but the
// slots from its time as the primary.
func TestSwitchover(t *testing.T) {
	t.Parallel()
	s := newServers(t, nil, "db-primary", "db-replica-1")
	old, next := s.nodes["db-primary"], s.nodes["db-replica-1"]
	old.start(t)
	next.start(t)
	awaitStream(t, old, next.name)
	old.stop(t)
	next.must(t, "promote")
	if out := old.must(t, "rejoin", next.peer()); !strings.Contains(out, "no rewind required") {
		t.Errorf("it was rewound:\n%s", out)
	}
	old.start(t)
	awaitStream(t, next, old.name)
	if left := query[int](t, old, "SELECT count(*) FROM pg_replication_slots"); left != 0 {
		t.Errorf("the old primary still has %d slots, which retain WAL", left)
	}
}

// TestSynchronousFromTheFirstStart: the overlay must not stop a cluster from being made,
// which commits before there is any standby; and afterwards it holds.
func TestSynchronousFromTheFirstStart(t *testing.T) {
	t.Parallel()
	names := `SYNCHRONOUS_STANDBY_NAMES=ANY 1 ("db-primary", "db-replica-1")`
	s := newServers(t, []string{names}, "db-primary", "db-replica-1")
	primary, replica := s.nodes["db-primary"], s.nodes["db-replica-1"]
	primary.start(t)
	eventually(t, "the primary answers", func() bool { _, err := try[int](t, primary, "SELECT 1"); return err == nil })

	waits := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(t.Context(), primary.dsn(t, "postgres", "shop"))
		if err == nil {
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), "CREATE TABLE planted ()")
		}
		waits <- err
	}()
	eventually(t, "a commit waits for a standby", func() bool {
		n, err := try[int](t, primary, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		return err == nil && n == 1
	})
	replica.start(t)
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	awaitStream(t, primary, replica.name)
	if state := query[string](t, primary, "SELECT sync_state FROM pg_stat_replication"); state != "quorum" {
		t.Errorf("sync_state %s", state)
	}
	// The base backup streams as well, and confirms: under the standby's name it would
	// have counted, and an order could have been on a copy that is then thrown away.
	text, err := os.ReadFile(primary.log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `standby "db-replica-1" is now a candidate for quorum`); n != 1 {
		t.Errorf("the primary took the name for a synchronous standby %d times, and there is one", n)
	}
}

// TestALostVolumeIsNoNewShop: the node that makes the cluster has lost its data, and a
// standby has all of it.
func TestALostVolumeIsNoNewShop(t *testing.T) {
	t.Parallel()
	s := newServers(t, nil, "db-primary", "db-replica-1")
	primary, replica := s.nodes["db-primary"], s.nodes["db-replica-1"]
	primary.start(t)
	replica.start(t)
	awaitStream(t, primary, replica.name)
	primary.end()
	if err := os.RemoveAll(primary.data()); err != nil {
		t.Fatal(err)
	}
	out, err := primary.do(t, "start")
	if err == nil || !strings.Contains(out, "Promote a standby") {
		t.Fatalf("it makes a new cluster: %v\n%s", err, out)
	}
	replica.must(t, "promote")
	primary.start(t)
	awaitStream(t, replica, primary.name)
}

// TestChaosScript goes round once, and leaves nothing paused, also when it is ended
// in the middle.
func TestChaosScript(t *testing.T) {
	t.Parallel()
	s := newServers(t, nil, "db-primary", "db-replica-1")
	primary, replica := s.nodes["db-primary"], s.nodes["db-replica-1"]
	primary.start(t)
	replica.start(t)
	awaitStream(t, primary, replica.name)
	chaos := replica.command(t.Context())
	chaos.Args = []string{"bash", s.tools + "/chaos.sh"}
	chaos.Env = append(chaos.Env, "PEERS="+primary.peer()+" "+replica.peer(), "PGPASSWORD_FILE="+s.file("secrets/postgres_password"), "ROUNDS=1", "PAUSE=0", "PEACE=0")
	out, err := chaos.CombinedOutput()
	if said := string(out); err != nil || strings.Count(said, "stops replaying") != 1 || !strings.Contains(said, replica.peer()+" replays again") {
		t.Fatalf("%v\n%s", err, out)
	}
	endless := replica.command(t.Context())
	endless.Args, endless.Env = chaos.Args, append(chaos.Env, "ROUNDS=9", "PAUSE=600")
	if err := endless.Start(); err != nil {
		t.Fatal(err)
	}
	paused := func() bool { return query[bool](t, replica, "SELECT pg_is_wal_replay_paused()") }
	eventually(t, "the standby is paused", paused)
	if err := endless.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := endless.Wait(); err != nil || paused() {
		t.Errorf("ended in the middle: %v, paused %v", err, paused())
	}
}
