package faults_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
)

// shop is a router whose writes go through a link, and a way around it.
type shop struct {
	*dbtest.Env
	link   *faults.PGLink
	router *fresh.Router
	admin  *pgx.Conn
}

func newShop(t *testing.T) *shop {
	s := &shop{Env: dbtest.New(t)}
	s.admin = s.Admin(t, s.Primary())
	_, err := s.admin.Exec(t.Context(), "CREATE TABLE mark (name text PRIMARY KEY); GRANT INSERT ON mark TO shop_rw")
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config()
	config.Nodes = config.Nodes[:1]
	u, err := url.Parse(config.Nodes[0].WriteDSN)
	if err != nil {
		t.Fatal(err)
	}
	s.link = newPGLink(t, u.Host)
	u.Host = s.link.Addr()
	config.Nodes[0].WriteDSN = u.String()
	s.router = s.NewRouter(t, config)
	return s
}

// write inserts a row through the link.
func (s *shop) write(ctx context.Context, name string) error {
	return s.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, "INSERT INTO mark VALUES ($1)", name)
		return err
	})
}

// has asks past the link.
func (s *shop) has(t *testing.T, name string) (found bool) {
	t.Helper()
	err := s.admin.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM mark WHERE name = $1)", name).Scan(&found)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (s *shop) answered(n int64) func(faults.Counts) bool {
	return func(c faults.Counts) bool { return c.Answered == n }
}

func TestARealCommitPasses(t *testing.T) {
	s := newShop(t)
	if err := s.write(t.Context(), "plain"); err != nil || !s.has(t, "plain") {
		t.Errorf("err = %v; the row is there: %t", err, s.has(t, "plain"))
	}
	if c := s.link.Counts(); c.Forwarded != 1 || c.Answered != 1 || c.Cancels != 0 {
		t.Errorf("%+v", c)
	}
}

func TestARealCommitIsCutAfter(t *testing.T) {
	s := newShop(t)
	s.link.CutAfterCommit(1)
	if err := s.write(t.Context(), "after"); !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want ErrCommitUnknown", err)
	}
	eventually(t, s.link.Link, "the server answers", s.answered(1))
	if !s.has(t, "after") {
		t.Error("the COMMIT was lost")
	}
	if c := s.link.Counts(); c.CutAfter != 1 || c.Cancels != 0 {
		t.Errorf("%+v", c)
	}
}

func TestARealCommitIsCutBefore(t *testing.T) {
	s := newShop(t)
	s.link.CutBeforeCommit(1)
	if err := s.write(t.Context(), "before"); !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want ErrCommitUnknown", err)
	}
	// Without the first transaction's end the second would wait for its key.
	if err := s.write(t.Context(), "before"); err != nil {
		t.Errorf("again: %v, want no conflict with the first", err)
	}
	if c := s.link.Counts(); c.CutBefore != 1 || c.Forwarded != 1 {
		t.Errorf("%+v", c)
	}
}

func TestTheAnswerToARealCommitIsSwallowed(t *testing.T) {
	s := newShop(t)
	s.link.SwallowCommitAnswer(1)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.write(ctx, "silence") }()
	eventually(t, s.link.Link, "the server answers", s.answered(1))
	if !s.has(t, "silence") {
		t.Error("the COMMIT was lost")
	}
	select {
	case err := <-result:
		t.Errorf("the writer was told: %v", err)
	case <-time.After(quiet):
	}
	cancel()
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Errorf("err = %v, want ErrCommitUnknown", err)
	}
	heal(t, s.link.Link) // or the router's Close would wait for the COMMIT
	if c := s.link.Counts(); c.Swallowed != 1 || c.Cancels != 0 {
		t.Errorf("%+v", c)
	}
}

func TestARealCancelRequestIsCounted(t *testing.T) {
	s := newShop(t)
	u, err := url.Parse(s.DSN(s.Primary(), "shop_rw"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = s.link.Addr()
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_sleep(60)"); err == nil {
		t.Error("the statement was not given up")
	}
	eventually(t, s.link.Link, "the driver cancels", func(c faults.Counts) bool { return c.Cancels == 1 && c.CommitCancels == 0 })
}
