package fresh

import (
	"cmp"
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Together sends the statements of several functions to the server in one round trip, in
// the order of the functions. It is for a transaction that holds locks, in which a round
// trip is time that others wait. Each function sends at most one statement of a Write,
// with the context that it is given, and reads its answer; none may rely on that of
// another. (On a connection that is not a Write's a statement is sent at once, as ever.)
//
//	err := fresh.Together(ctx,
//		func(ctx context.Context) (err error) { closed, err = q.CloseCart(ctx, cart); return err },
//		func(ctx context.Context) (err error) { lines, err = q.CartLines(ctx, cart); return err },
//	)
//
// Each statement still has a snapshot of its own, later than all before it (manual,
// section 55.2.4). Once one fails, the server skips those behind it; the error is that of
// the function whose statement failed, and the transaction must be rolled back. What
// fails before anything is executed, as a text that cannot be parsed or an argument that
// does not fit, is told to the first.
//
// The functions run one at a time, as coroutines: each up to its statement, and when all
// have been sent each to its end. They need no locks among themselves.
func Together(ctx context.Context, functions ...func(context.Context) error) (err error) {
	if ctx.Value(slotKey{}) != nil {
		return errSentTwice // it would be sent at once, before those that wait
	}
	var m message
	var waiting []func() error
	for _, function := range functions {
		var err error
		next, stop := iter.Pull(func(pause func(struct{}) bool) {
			err = function(context.WithValue(ctx, slotKey{}, &slot{message: &m, pause: pause}))
		})
		defer stop() // who has not been sent learns it
		if _, waits := next(); waits {
			waiting = append(waiting, func() error { next(); return err })
		} else if err != nil {
			return err
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	m.answers = m.conn.SendBatch(ctx, &m.batch)
	defer func() { err = cmp.Or(err, m.answers.Close()) }()
	for _, finish := range waiting {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}

var (
	errSentTwice = errors.New("fresh: a function of Together sends one statement, and in one transaction with the others")
	errNotSent   = errors.New("fresh: not sent, since another function of Together failed first")
)

// A message is what goes to the server at once.
type message struct {
	conn    *pgx.Conn
	batch   pgx.Batch
	answers pgx.BatchResults
}

// A slot is that of one function.
type slot struct {
	message *message
	pause   func(struct{}) bool // returns when the answers are there, or false if there will be none
	taken   bool
}

type slotKey struct{}

// wait queues the statement and returns the answers, of which this function's is next.
func (s *slot) wait(conn *pgx.Conn, sql string, args []any) (pgx.BatchResults, error) {
	if s.taken || s.message.conn != nil && s.message.conn != conn {
		return nil, errSentTwice
	}
	s.taken, s.message.conn = true, conn
	s.message.batch.Queue(sql, args...)
	if !s.pause(struct{}{}) {
		return nil, errNotSent
	}
	return s.message.answers, nil
}

// writeTx is the connection of a transaction, on which the statements of Together wait
// for each other.
type writeTx struct{ *pgx.Conn }

func (t writeTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s, _ := ctx.Value(slotKey{}).(*slot)
	if s == nil {
		return t.Conn.Exec(ctx, sql, args...)
	}
	answers, err := s.wait(t.Conn, sql, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return answers.Exec()
}

func (t writeTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	s, _ := ctx.Value(slotKey{}).(*slot)
	if s == nil {
		return t.Conn.Query(ctx, sql, args...)
	}
	answers, err := s.wait(t.Conn, sql, args)
	if err != nil {
		return failedRows(err), err
	}
	return answers.Query()
}

func (t writeTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	s, _ := ctx.Value(slotKey{}).(*slot)
	if s == nil {
		return t.Conn.QueryRow(ctx, sql, args...)
	}
	answers, err := s.wait(t.Conn, sql, args)
	if err != nil {
		return row{err: err}
	}
	return answers.QueryRow()
}
