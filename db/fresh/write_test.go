package fresh_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
)

func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// The token lies behind the commit record. One taken before COMMIT would not,
// and a replica that has replayed it could lack the commit.
func TestATokenCoversItsCommit(t *testing.T) {
	b := setup(t)
	for range 20 {
		ctx, c := session(t, fresh.Position{})
		var before string
		err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			if _, err := tx.Exec(ctx, addOne); err != nil {
				return err
			}
			return tx.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&before)
		})
		if err != nil {
			t.Fatal(err)
		}
		lsn, err := fresh.ParseLSN(before)
		if token, _ := c.Token(); err != nil || token.LSN <= lsn {
			t.Fatalf("token %v, but before COMMIT the log already ended at %v (%v)", token, before, err)
		}
	}
}

func TestAnErrorRollsBack(t *testing.T) {
	b := setup(t)
	ctx, c := session(t, fresh.Position{})
	mine := errors.New("mine")
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		if _, err := tx.Exec(ctx, addOne); err != nil {
			return err
		}
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("err = %v, want the function's own", err)
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 0 {
		t.Errorf("n = %d after a rollback", n)
	}
	if served, ok := c.Served(); !ok || !served.Primary {
		t.Errorf("refused by %v, %v; want the primary", served, ok)
	}
}

// Who is told that somebody else was first reads again, and no replica that lacks it
// may answer.
func TestWhatRefusedIsReadNext(t *testing.T) {
	b := setup(t)
	b.Pause(t)
	b.add(t) // by somebody else
	ctx, c := session(t, fresh.Position{})
	first := errors.New("somebody was first")
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		var n int
		if err := tx.QueryRow(ctx, readCounter).Scan(&n); err != nil || n == 0 {
			return err
		}
		return first
	})
	if !errors.Is(err, first) {
		t.Fatalf("err = %v", err)
	}
	token, _ := c.Token()
	if n, served := b.read(t, fresh.Session(), token); n != 1 || served.Reason != fresh.ReasonToken {
		t.Errorf("read again: n = %d from %v, want 1 from the primary for its token", n, served)
	}
	if n, served := b.read(t, fresh.Any(), fresh.Position{}); n != 0 || served.Primary {
		t.Errorf("without the token: n = %d from %v; no replica is behind, so the test shows nothing", n, served)
	}
	b.Resume(t)
	dbtest.Eventually(t, "a replica reaches the token", func() bool {
		_, served := b.read(t, fresh.Session(), token)
		return !served.Primary
	})
}

// A panic in the function gives the connection back, without its transaction.
func TestAPanicLeavesNothingBehind(t *testing.T) {
	b := setup(t, func(c *fresh.Config) { c.WriteConns = 1 })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		ctx, _ := session(t, fresh.Position{})
		_ = b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			if _, err := tx.Exec(ctx, addOne); err != nil {
				t.Error(err)
			}
			panic("mistake")
		})
	}()
	b.add(t) // on the only connection, and past the row's lock
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 1 {
		t.Errorf("n = %d, want 1", n)
	}
}

// COMMIT of a failed transaction succeeds with the tag ROLLBACK.
func TestASwallowedErrorIsNotACommit(t *testing.T) {
	b := setup(t)
	ctx, c := session(t, fresh.Position{})
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		if _, err := tx.Exec(ctx, addOne); err != nil {
			return err
		}
		_, _ = tx.Exec(ctx, "SELECT 1/0") // the mistake
		return nil
	})
	if err == nil {
		t.Error("a transaction that the server rolled back was reported as committed")
	}
	if token, raised := c.Token(); raised {
		t.Errorf("token raised to %v", token)
	}
}

func TestADeferredConstraintIsAnErrorAndNoDoubt(t *testing.T) {
	b := setup(t)
	b.exec(t, b.Admin(t, b.Primary()), `CREATE TABLE child (id int REFERENCES counter DEFERRABLE INITIALLY DEFERRED); GRANT INSERT ON child TO shop_rw`)
	ctx, _ := session(t, fresh.Position{})
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, "INSERT INTO child VALUES (99)")
		return err
	})
	if sqlState(err) != "23503" || errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want 23503 and no doubt", err)
	}
}

// Two transactions lock two rows in opposite order, which is a deadlock; both
// callers get their commit.
func TestADeadlockIsRetried(t *testing.T) {
	b := setup(t)
	var both sync.WaitGroup
	both.Add(2)
	arrived := make(chan struct{})
	go func() { both.Wait(); close(arrived) }()
	var runs sync.Map
	update := func(first, then int) error {
		ctx, _ := session(t, fresh.Position{})
		var once sync.Once
		return b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			count, _ := runs.LoadOrStore(first, new(int))
			*count.(*int)++
			if _, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = $1", first); err != nil {
				return err
			}
			once.Do(both.Done)
			<-arrived
			_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = $1", then)
			return err
		})
	}
	results := make(chan error, 2)
	go func() { results <- update(1, 2) }()
	go func() { results <- update(2, 1) }()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	total := 0
	runs.Range(func(_, count any) bool { total += *count.(*int); return true })
	if total != 3 {
		t.Errorf("the functions ran %d times, want 3: there was no deadlock, or it was retried too often", total)
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 2 {
		t.Errorf("n = %d, want 2", n)
	}
}

// addInBackground commits one more; the channel has what came of it.
func addInBackground(ctx context.Context, router *fresh.Router) <-chan error {
	result := make(chan error, 1)
	go func() {
		result <- router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			_, err := tx.Exec(ctx, addOne)
			return err
		})
	}()
	return result
}

// withoutStandbys freezes every standby: a synchronous commit now waits.
func withoutStandbys(t *testing.T, b *bench) {
	t.Helper()
	for _, n := range b.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, n.Freeze)
	}
}

// waitingCommit returns the backend whose COMMIT waits for a standby.
func waitingCommit(t *testing.T, b *bench) (pid int) {
	t.Helper()
	admin := b.Admin(t, b.Primary())
	dbtest.Eventually(t, "a COMMIT waits for a standby", func() bool {
		err := admin.QueryRow(context.Background(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()").Scan(&pid)
		return err == nil
	})
	return pid
}

// The caller leaves, the COMMIT does not: nothing cancels it, and it is visible
// only once a standby has it.
func TestACallerThatLeavesDoesNotCancelItsCommit(t *testing.T) {
	b := setup(t)
	withoutStandbys(t, b)
	ctx, leave := context.WithCancel(context.Background())
	result := addInBackground(ctx, b.router)
	pid := waitingCommit(t, b)
	leave()
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Fatalf("err = %v, want ErrCommitUnknown", err)
	}
	// Were it cancelled, it would become visible within a moment.
	until(300*time.Millisecond, func() {
		if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 0 {
			t.Fatal("a row that no standby has became visible")
		}
	})
	if again := waitingCommit(t, b); again != pid {
		t.Errorf("backend %d waits, want %d", again, pid)
	}
	for _, n := range b.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	dbtest.Eventually(t, "the commit takes effect", func() bool {
		n, _ := b.read(t, fresh.Strong(), fresh.Position{})
		return n == 1
	})
}

// A process that is asked to stop does not wait for a standby for ever.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	b := setup(t)
	router, err := fresh.New(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	ctx, _ := session(t, fresh.Position{})
	if err := router.AwaitPrimary(ctx); err != nil {
		t.Fatal(err)
	}
	withoutStandbys(t, b)
	result := addInBackground(ctx, router)
	waitingCommit(t, b)
	soon, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := router.Close(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want DeadlineExceeded", err)
	}
	for _, n := range b.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	if err := <-result; err != nil {
		t.Errorf("the COMMIT that Close left alone: %v", err)
	}
}

// The server stops waiting, warns, and answers COMMIT: that is no success.
func TestACancelledWaitIsNotAnAcknowledgement(t *testing.T) {
	b := setup(t)
	withoutStandbys(t, b)
	ctx, c := session(t, fresh.Position{})
	result := addInBackground(ctx, b.router)
	var cancelled bool
	pid := waitingCommit(t, b)
	if err := b.Admin(t, b.Primary()).QueryRow(context.Background(), "SELECT pg_cancel_backend($1)", pid).Scan(&cancelled); err != nil || !cancelled {
		t.Fatal(cancelled, err)
	}
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want ErrCommitUnknown", err)
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 1 {
		t.Errorf("n = %d: the fault is not there, the row should be visible and unreplicated", n)
	}
	if token, raised := c.Token(); raised {
		t.Errorf("an unacknowledged commit raised the token to %v", token)
	}
}

func TestABackendKilledDuringCommitLeavesDoubt(t *testing.T) {
	b := setup(t)
	withoutStandbys(t, b)
	ctx, _ := session(t, fresh.Position{})
	result := addInBackground(ctx, b.router)
	pid := waitingCommit(t, b)
	b.exec(t, b.Admin(t, b.Primary()), "SELECT pg_terminate_backend("+itoa(pid)+")")
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want ErrCommitUnknown", err)
	}
}

// The driver answers a lost connection with a CancelRequest on a new one, and
// that would end the wait and make an unreplicated row visible.
func TestALostConnectionDoesNotCancelItsCommit(t *testing.T) {
	var link *faults.Link
	b := setup(t, func(c *fresh.Config) {
		u, err := url.Parse(c.Nodes[0].WriteDSN)
		if err != nil {
			t.Fatal(err)
		}
		link = dbtest.Link(t, u.Host)
		u.Host = link.Addr()
		c.Nodes[0].WriteDSN = u.String()
	})
	withoutStandbys(t, b)
	ctx, _ := session(t, fresh.Position{})
	result := addInBackground(ctx, b.router)
	waitingCommit(t, b)
	link.Reset() // new connections pass
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Fatalf("err = %v, want ErrCommitUnknown", err)
	}
	until(300*time.Millisecond, func() {
		if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 0 {
			t.Fatal("a row that no standby has became visible: the wait was cancelled")
		}
	})
}

func TestAConnectionLostBeforeCommitIsRetried(t *testing.T) {
	b := setup(t)
	ctx, _ := session(t, fresh.Position{})
	admin := b.Admin(t, b.Primary())
	tries := 0
	err := b.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		if tries++; tries == 1 {
			var pid int
			if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
				return err
			}
			b.exec(t, admin, "SELECT pg_terminate_backend("+itoa(pid)+", 5000)")
		}
		_, err := tx.Exec(ctx, addOne)
		return err
	})
	if err != nil || tries != 2 {
		t.Errorf("err = %v after %d tries, want success at the second", err, tries)
	}
	if n, _ := b.read(t, fresh.Strong(), fresh.Position{}); n != 1 {
		t.Errorf("n = %d, want 1", n)
	}
}

func TestSynchronousCommitOffIsRefused(t *testing.T) {
	b := setup(t, func(c *fresh.Config) {
		for i := range c.Nodes {
			c.Nodes[i].WriteDSN += "&options=-csynchronous_commit%3Doff"
		}
	})
	ctx, _ := session(t, fresh.Position{})
	err := b.router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("err = %v, want one that names synchronous_commit", err)
	}
}
