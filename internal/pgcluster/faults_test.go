package pgcluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1, InitSQL: "CREATE TABLE planted (n int); GRANT SELECT ON planted TO shop_ro"})
	primary, replica := node(t, c, "primary"), node(t, c, "replica-1")
	const count = "SELECT count(*) FROM planted"

	t.Run("pause and resume", func(t *testing.T) {
		do(t, replica.PauseReplay)
		before := query[int](t, replica, "shop_ro", count)
		execSQL(t, primary, "postgres", "INSERT INTO planted VALUES (1)")
		// The row is on the standby's disk, for the commit waited for that.
		st, err := replica.Status(ctx(t))
		if err != nil || !st.ReplayPaused || st.Received <= st.LSN {
			t.Fatalf("status of a paused standby: %+v, %v", st, err)
		}
		if got := query[int](t, replica, "shop_ro", count); got != before {
			t.Errorf("a paused standby went from %d to %d rows", before, got)
		}
		do(t, replica.ResumeReplay)
		waitFor(t, "the row", func() bool { return query[int](t, replica, "shop_ro", count) == before+1 })
	})

	t.Run("pause waits until replay stands", func(t *testing.T) {
		startup := query[int](t, replica, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
		if err := syscall.Kill(startup, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
		defer cancel()
		if err := replica.PauseReplay(short); err == nil {
			t.Error("PauseReplay returned though the startup process cannot have agreed")
		}
		if err := syscall.Kill(startup, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		do(t, replica.ResumeReplay)
	})

	for _, n := range []*pgcluster.Node{replica, primary} {
		t.Run("freeze and thaw "+n.Name(), func(t *testing.T) {
			pid := status(t, n).Pid
			// An open session must hang too: freezing the postmaster alone would only
			// keep new ones out.
			open, err := pgx.Connect(ctx(t), n.DSN("shop_ro"))
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close(context.Background())
			do(t, n.Freeze)
			if diff := cmp.Diff(pgcluster.Status{Role: pgcluster.RoleFrozen, Pid: pid}, status(t, n)); diff != "" {
				t.Error(diff)
			}
			short, cancel := context.WithTimeout(ctx(t), 200*time.Millisecond)
			defer cancel()
			if _, err := tryQuery[int](short, n, "shop_ro", count); err == nil {
				t.Error("a frozen server let a session in")
			}
			short, cancel = context.WithTimeout(ctx(t), 200*time.Millisecond)
			defer cancel()
			if _, err := open.Exec(short, "SELECT 1"); err == nil {
				t.Error("a session of a frozen server answered")
			}
			do(t, n.Thaw)
			query[int](t, n, "shop_ro", count)
			if got := status(t, n).Pid; got != pid {
				t.Errorf("pid %d became %d: it was restarted, not thawed", pid, got)
			}
		})
		t.Run("kill and start "+n.Name(), func(t *testing.T) {
			before, addr, data := status(t, n), n.Addr(), filepath.Join(c.Dir(), n.Name())
			pids := processesIn(t, data)
			if len(pids) < 5 {
				t.Fatalf("only processes %v are known: Kill could leave others", pids)
			}
			// A backend in a loop does not notice that its postmaster died.
			busy, err := pgx.Connect(ctx(t), n.DSN("shop_ro"))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, int(busy.PgConn().PID()))
			looped := make(chan error, 1)
			go func() {
				_, err := busy.Exec(ctx(t), "DO $$ BEGIN LOOP END LOOP; END $$")
				looped <- err
			}()
			waitFor(t, "the loop", func() bool {
				return query[bool](t, n, "postgres", "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1", busy.PgConn().PID())
			})
			do(t, n.Kill)
			if err := <-looped; err == nil {
				t.Error("a loop ended well")
			}
			if left := running(t, pids); len(left) > 0 {
				t.Errorf("processes %v outlived Kill", left)
			}
			if diff := cmp.Diff(pgcluster.Status{Role: pgcluster.RoleDown}, status(t, n)); diff != "" {
				t.Error(diff)
			}
			do(t, n.Start)
			after := status(t, n)
			if after.Role != before.Role || after.Pid == before.Pid || n.Addr() != addr {
				t.Errorf("before %+v, after %+v at %s, was %s", before, after, n.Addr(), addr)
			}
		})
	}

	t.Run("stop a primary whose standby is frozen", func(t *testing.T) {
		do(t, replica.Freeze)
		do(t, primary.Stop)
		do(t, replica.Stop)
		do(t, primary.Start)
		do(t, replica.Start)
		execSQL(t, primary, "postgres", "INSERT INTO planted VALUES (2)")
	})

	t.Run("start twice", func(t *testing.T) {
		if err := primary.Start(ctx(t)); err == nil || !strings.Contains(err.Error(), "already running") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that cannot start shows its log", func(t *testing.T) {
		do(t, replica.Stop)
		conf := filepath.Join(c.Dir(), "replica-1", "postgresql.auto.conf")
		kept, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		write(t, conf, "no_such_setting = 1\n")
		if err := replica.Start(ctx(t)); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
			t.Errorf("got %v", err)
		}
		write(t, conf, string(kept))
		do(t, replica.Start)
	})
	t.Run("verbs respect their context", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx(t))
		cancel()
		if err := replica.PauseReplay(ended); err == nil {
			t.Error("a verb ran on an ended context")
		}
	})
}

// A killed server whose parent has not asked for its end is still a process to the
// kernel, and its lock file names it. The zombie here stands for it: another of the
// servers' user.
func TestStartAfterAKillThatNobodyReaped(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{})
	primary := node(t, c, "primary")
	do(t, primary.Kill)
	lock := filepath.Join(c.Dir(), "primary", "postmaster.pid")
	text, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	zombie := exec.CommandContext(ctx(t), "true")
	if info, err := os.Stat(lock); err != nil {
		t.Fatal(err)
	} else if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		zombie.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	_, rest, _ := strings.Cut(string(text), "\n")
	write(t, lock, strconv.Itoa(zombie.Process.Pid)+"\n"+rest)
	do(t, primary.Start)
}

func status(t *testing.T, n *pgcluster.Node) pgcluster.Status {
	t.Helper()
	st, err := n.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// write keeps the owner and mode of an existing file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCloseEndsARunningVerb: the verb cannot end by itself, for the process that
// has to agree to the pause stands still.
func TestCloseEndsARunningVerb(t *testing.T) {
	t.Parallel()
	c := start(t, pgcluster.Config{Replicas: 1})
	replica := node(t, c, "replica-1")
	startup := query[int](t, replica, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
	if err := syscall.Kill(startup, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	long := ctx(t)
	paused := make(chan error, 1)
	go func() { paused <- replica.PauseReplay(long) }()
	waitFor(t, "the request", func() bool {
		return query[string](t, replica, "postgres", "SELECT pg_get_wal_replay_pause_state()") == "pause requested"
	})
	began := time.Now()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := <-paused; err == nil {
		t.Error("replay was paused after all")
	}
}
