package fresh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// WriteTx is a transaction on the primary, as generated code sees it.
type WriteTx interface {
	ReadTx
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

const (
	maxTries = 3
	// retryPause is the longest pause before the second try; it doubles. A
	// deadlock's survivor is done within a commit, a few milliseconds.
	retryPause = 20 * time.Millisecond
)

// Write runs fn in a READ COMMITTED transaction on the primary, commits it, and
// raises the session's token to its position.
//
// fn may run up to three times: after a serialization failure, a deadlock, or
// a connection that was lost before COMMIT was sent. It must use only tx, and
// keep its other effects to itself until Write returns nil. Its error rolls
// back and is returned. If it is a refusal of its own, and no failure, the token then
// covers what fn has seen: who is refused reads again, and must meet what refused them.
//
// Once COMMIT is sent nothing cancels it and nothing is retried. If ctx ends
// first, if the connection is lost, or if the server says that it stopped
// waiting for its synchronous standby, the error is ErrCommitUnknown: the
// transaction may be durable, and only an idempotency key can tell.
func (r *Router) Write(ctx context.Context, fn func(context.Context, WriteTx) error) error {
	ctx, end := r.config.Hooks.start(ctx, Work{Kind: WorkWrite})
	var o Outcome
	o.Err = r.write(ctx, &o, fn)
	if end != nil {
		end(o)
	}
	return o.Err
}

func (r *Router) write(ctx context.Context, o *Outcome, fn func(context.Context, WriteTx) error) error {
	for try := 1; ; try++ {
		err := r.writeOnce(ctx, o, fn)
		if err == nil || errors.Is(err, ErrCommitUnknown) {
			return err
		}
		v := r.judge(ctx, err, inWrite)
		if v == elsewhere || v == demoted {
			r.rediscover()
		}
		if !v.mayRetry(try) || !backOff(ctx, try) {
			return told(v, err)
		}
		r.metrics.retries.Inc()
	}
}

// condemn closes a connection that would fail again. What has been demoted, or is
// read-only, answers the pool's pings as before, and its other connections would
// each fail a transaction: they go, too, those in use with their transaction. A
// connection that broke, or was not to be had, says nothing of the others; to close
// those would make the first dial that fails an outage.
func (n *node) condemn(conn *pgx.Conn, v verdict) {
	switch v {
	case demoted, replan:
		n.write.Reset()
		closeQuietly(conn)
	case elsewhere:
		closeQuietly(conn)
	}
}

// backOff waits with full jitter and reports whether the context still lives.
func backOff(ctx context.Context, try int) bool {
	timer := time.NewTimer(rand.N(retryPause << (try - 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Router) writeOnce(ctx context.Context, o *Outcome, fn func(context.Context, WriteTx) error) error {
	primary, timeline := r.currentPrimary()
	if primary == nil {
		return ErrNoPrimary
	}
	c := CarrierFrom(ctx)
	if c != nil {
		if token, _ := c.Token(); token.Timeline > timeline {
			r.rediscover() // the session has met a newer primary than the one known here
			return ErrNoPrimary
		}
	}
	if primary.level.Load() != 0 && primary.refuses() {
		return ErrNoSynchronousStandby // at once: all connections may be waiting in a COMMIT
	}
	conn, err := primary.write.Acquire(ctx)
	if err != nil {
		return err
	}
	committing := false
	defer func() { // also when fn panics
		if !committing {
			conn.Release()
		}
	}()
	if primary.refuses() {
		return ErrNoSynchronousStandby // the first connection has told what its COMMIT would wait for
	}
	o.Served, o.Tries = primary.wrote(), o.Tries+1
	if seen, err := runTx(ctx, conn.Conn(), fn); err != nil {
		primary.condemn(conn.Conn(), classify(ctx, err, inWrite))
		if c != nil && !seen.IsZero() {
			c.raise(seen)
			c.note(primary.wrote())
		}
		return err
	}
	committing = true // and the connection commit's own
	pos, err := r.commit(ctx, primary, conn)
	if err != nil {
		return err
	}
	if _, now := r.currentPrimary(); pos.Timeline < now {
		return fmt.Errorf("%w: committed on a superseded primary", ErrCommitUnknown)
	}
	if c != nil {
		c.raise(pos)
		c.note(primary.wrote())
	}
	return nil
}

func (n *node) wrote() Served { return Served{Node: n.name, Primary: true, Reason: ReasonPolicy} }

// runTx leaves the transaction open when fn has no error. Else it is rolled back, and
// after a refusal seen is where the primary was by then.
func runTx(ctx context.Context, conn *pgx.Conn, fn func(context.Context, WriteTx) error) (seen Position, err error) {
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED"); err != nil {
		return Position{}, err
	}
	if conn.PgConn().ParameterStatus("in_hot_standby") == "on" {
		return Position{}, errDemoted
	}
	err, end := fn(ctx, writeTx{conn}), "ROLLBACK"
	if refusal(ctx, err) {
		end = refuseSQL
	}
	if err == nil && conn.PgConn().TxStatus() != 'T' {
		err = errSwallowed // or fn ended the transaction itself
	}
	if err == nil {
		err = ctx.Err() // nobody waits any more: better a rollback than a doubt
	}
	if err == nil {
		return Position{}, nil
	}
	answers, ended := rollback(ctx, conn, end)
	if len(answers) == 2 && len(answers[1].Rows) == 1 {
		seen, _ = parsePosition(answers[1].Rows[0])
	}
	return seen, errors.Join(err, ended)
}

// In one message, as in commitSQL. What a transaction has seen is behind this
// position: a commit is flushed before others see what it did.
const refuseSQL = "ROLLBACK; SELECT pg_current_wal_flush_lsn()::text, pg_walfile_name(pg_current_wal_flush_lsn())"

// refusal: the function decided against the transaction, as for a version that is not
// the expected one. An error that the server or the connection raised is none, unless
// the function has made one of it.
func refusal(ctx context.Context, err error) bool {
	_, server := errors.AsType[*pgconn.PgError](err)
	return err != nil && !server && classify(ctx, err, inWrite) == final && ctx.Err() == nil
}

// committed is what came of a COMMIT.
type committed struct {
	pos Position
	err error
}

// commit sends COMMIT detached from the caller. The driver reacts to a context
// that ends by closing the connection and cancelling the backend, and a cancel
// makes PostgreSQL stop waiting for its synchronous standby and answer success.
// So the COMMIT runs to its end with no deadline, on a connection that only it
// holds; there are WriteConns of those, which bounds how many can wait. The
// caller may leave earlier, not knowing the outcome.
func (r *Router) commit(ctx context.Context, primary *node, conn *pgxpool.Conn) (Position, error) {
	done := make(chan committed, 1)
	_, end := r.config.Hooks.start(ctx, Work{Kind: WorkCommit})
	r.commits.Add(1)
	go func() {
		defer r.commits.Done()
		start := time.Now()
		pos, err := sendCommit(context.WithoutCancel(ctx), conn.Conn().PgConn())
		r.metrics.commit(time.Since(start), err)
		r.alarms.see(err, inWrite)
		if end != nil {
			end(Outcome{primary.wrote(), 1, err})
		}
		conn.Release() // first: the caller's next transaction finds it, and need not dial
		done <- committed{pos, err}
	}()
	select {
	case c := <-done:
		return c.pos, c.err
	case <-ctx.Done():
	}
	select {
	case c := <-done: // both were ready
		return c.pos, c.err
	default:
		return Position{}, errors.Join(ErrCommitUnknown, ctx.Err())
	}
}

// Both in one message: the SELECT runs after the commit and after its wait for
// the standby, and costs no round trip of its own.
const commitSQL = "COMMIT; SELECT pg_current_wal_flush_lsn()::text, pg_walfile_name(pg_current_wal_flush_lsn())"

func sendCommit(ctx context.Context, conn *pgconn.PgConn) (Position, error) {
	state := stateOf(conn)
	state.trouble = ""
	results, err := conn.Exec(ctx, commitSQL).ReadAll()
	switch {
	case len(results) > 0 && results[0].CommandTag.String() == "ROLLBACK":
		return Position{}, errSwallowed
	case len(results) == 0 && refused(err):
		return Position{}, fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		return Position{}, errors.Join(ErrCommitUnknown, err)
	case state.trouble != "":
		return Position{}, fmt.Errorf("%w: notice %s during COMMIT", ErrCommitUnknown, state.trouble)
	case len(results) != 2 || len(results[1].Rows) != 1:
		return Position{}, fmt.Errorf("%w: unexpected answer", ErrCommitUnknown)
	}
	return parsePosition(results[1].Rows[0])
}

// refused reports an answer to COMMIT that says for certain that there was none,
// as that of a deferred constraint.
func refused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.SeverityUnlocalized == "ERROR" && ruleOf(pgErr.Code).primary&doubt == 0
}

// parsePosition reads an LSN and the name of its WAL file, whose first eight
// digits are the timeline (manual, section 30.6). The transaction is committed,
// but without a position no later read can be proven to see it.
func parsePosition(row [][]byte) (Position, error) {
	lsn, err := ParseLSN(string(row[0]))
	if err != nil || len(row[1]) < 8 {
		return Position{}, errors.Join(ErrCommitUnknown, err)
	}
	timeline, err := strconv.ParseUint(string(row[1][:8]), 16, 32)
	if err != nil {
		return Position{}, errors.Join(ErrCommitUnknown, err)
	}
	return Position{Timeline: uint32(timeline), LSN: lsn}, nil
}
