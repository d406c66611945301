package replicationtour

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// tour is a database of its own, with a session of the superuser on the primary and one
// on a standby: what is refused there is not refused for want of a right.
type tour struct {
	*dbtest.Env
	t                *testing.T
	primary, standby session
}

func take(t *testing.T) tour {
	t.Helper()
	env := dbtest.New(t)
	return tour{
		Env: env, t: t,
		primary: session{t, env.Admin(t, env.Primary())},
		standby: session{t, env.Admin(t, env.Replicas()[0])},
	}
}

// arrives waits until the standby has replayed whatever the primary has written so far.
// It compares positions, and guesses no time:
//
//	primary: SELECT pg_current_wal_flush_lsn()
//	standby: SELECT pg_last_wal_replay_lsn() >= that
func (v tour) arrives() {
	v.t.Helper()
	v.CatchUpNode(v.t, v.Replicas()[0])
}

// both wants the same answer of the primary and of the standby.
func (v tour) both(want, sql string) {
	v.t.Helper()
	v.primary.shows(want, sql)
	v.standby.shows(want, sql)
}

type session struct {
	t *testing.T
	*pgx.Conn
}

// run returns the last result as text: values apart by spaces, rows by commas.
func (s session) run(sql string) (string, error) {
	results, err := s.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	var rows []string
	for _, row := range results[len(results)-1].Rows {
		values := make([]string, len(row))
		for i, value := range row {
			values[i] = string(value)
		}
		rows = append(rows, strings.Join(values, " "))
	}
	return strings.Join(rows, ", "), nil
}

func (s session) exec(sql string) {
	s.t.Helper()
	if _, err := s.run(sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s session) shows(want, sql string) {
	s.t.Helper()
	if got, err := s.run(sql); err != nil || got != want {
		s.t.Errorf("%s\n  shows %q, %v\n  want  %q", sql, got, err, want)
	}
}

// refuses wants the error of that SQLSTATE.
func (s session) refuses(sqlstate, sql string) {
	s.t.Helper()
	_, err := s.run(sql)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != sqlstate {
		s.t.Errorf("%s\n  is answered %v\n  want SQLSTATE %s", sql, err, sqlstate)
	}
}
