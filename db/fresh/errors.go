package fresh

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What a caller may have to tell its client apart. All but ErrCommitUnknown
// mean that nothing was done, and that the same request may be sent again.
var (
	// ErrNoPrimary: no node is known to be the primary, or it does not answer.
	ErrNoPrimary = errors.New("fresh: no primary")
	// ErrNoSynchronousStandby: the primary is there, but a COMMIT would wait, because
	// not enough of its synchronous standbys confirm what it writes.
	ErrNoSynchronousStandby = errors.New("fresh: no synchronous standby confirms what the primary writes")
	// ErrOverloaded: the cap on reads from the primary was reached.
	ErrOverloaded = errors.New("fresh: too many reads fell back to the primary")
	// ErrUnprovable: no replica proved the contract, and the policy is Fail.
	ErrUnprovable = errors.New("fresh: no replica is known to be fresh enough")
	// ErrUnavailable: the database had to give up: a statement ran into its
	// time-out, or connections, memory or disk have run out.
	ErrUnavailable = errors.New("fresh: the database cannot do this now")
	// ErrCommitUnknown: COMMIT was sent, and whether it took effect, or is on a
	// synchronous standby, is not known. Ask again with the idempotency key.
	ErrCommitUnknown = errors.New("fresh: the outcome of the commit is not known")
	// ErrReadOnly: a read handle was asked to execute a command. A mistake in the
	// program, not a state of the system.
	ErrReadOnly = errors.New("fresh: a read handle does not execute commands")
)

// errBehind: the node has not reached the floor. It never leaves the package.
var errBehind = errors.New("fresh: the node is behind the floor")

// errDemoted: a connection that was taken for the primary's is in recovery.
var errDemoted = errors.New("fresh: the node is no longer the primary")

// errSwallowed: COMMIT was answered with the tag ROLLBACK. The function hid the
// error of one of its statements.
var errSwallowed = errors.New("fresh: the transaction had failed before its COMMIT: an error was swallowed")

// verdict is what an error on one node means for the read or the transaction.
type verdict uint8

const (
	final     verdict = iota // the caller's own: another node would say the same
	elsewhere                // this node cannot answer now; another may
	conflict                 // replay cancelled the read: ask the primary, never this node again
	again                    // the transaction was rolled back; running it anew may succeed
	exhausted                // more tries would make it worse: tell the client to come back
)

// onReplica and onPrimary give the meaning of an SQLSTATE (manual, appendix A)
// by the role of the node that raised it. A code that is in neither is final.
var onReplica = map[string]verdict{
	"40001": conflict,                      // canceling statement due to conflict with recovery (section 27.4.2)
	"40P01": conflict,                      // the same, on a buffer pin
	"55P03": conflict,                      // a replayed DDL holds the lock
	"57014": exhausted,                     // statement_timeout: a slow query is not pushed on to the primary
	"0A000": elsewhere,                     // cached plan must not change result type: DDL was replayed
	"26000": elsewhere, "42P05": elsewhere, // prepared statement lost: a pooler is between
	"42P01": elsewhere, "42703": elsewhere, "42883": elsewhere, // DDL not replayed yet
	"53100": elsewhere, "53200": elsewhere, "53300": elsewhere, "53400": elsewhere,
	"57P01": elsewhere, "57P02": elsewhere, "57P03": elsewhere, "57P05": elsewhere, "25P03": elsewhere,
	"58030": elsewhere, "58P01": elsewhere, "XX001": elsewhere, "XX002": elsewhere,
	"28000": elsewhere, "28P01": elsewhere, "3D000": elsewhere,
	"25P04": elsewhere, "XX000": elsewhere,
}

var onPrimary = map[string]verdict{
	"40001": again, "40P01": again, // serialization failure, deadlock
	"57014": exhausted, // statement_timeout
	"53000": exhausted, "53100": exhausted, "53200": exhausted, "53300": exhausted, "53400": exhausted,
	"0A000": again, "26000": again, "42P05": again, // the statement cache was stale
	"25P03": again, "57P05": again, // the session timed out while idle
	"25P04": again,
	"28000": elsewhere, "28P01": elsewhere, "3D000": elsewhere, // not set up yet
	"25006": elsewhere, // read-only: the node was demoted
	"55000": elsewhere, // recovery is in progress: likewise
	"57P01": elsewhere, "57P02": elsewhere, "57P03": elsewhere,
}

// classify never looks at message text. A caller whose context ended gets its
// own error back, whatever the driver made of it.
func classify(ctx context.Context, err error, table map[string]verdict) verdict {
	var pgErr *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, pgx.ErrNoRows), errors.Is(err, ErrReadOnly):
		return final
	case errors.As(err, &pgErr):
		verdict := table[pgErr.Code]
		if verdict == final && (strings.HasPrefix(pgErr.Code, "08") || errors.As(err, &connect)) {
			return elsewhere // whatever keeps us from connecting here need not elsewhere
		}
		return verdict
	case errors.As(err, &connect), errors.Is(err, errDemoted):
		return elsewhere
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return final // a shorter deadline that the caller set itself
	case connectionLost(err):
		return elsewhere
	}
	return final
}

// told returns the error as a caller of the package gets it.
func told(ctx context.Context, err error, table map[string]verdict) error {
	switch classify(ctx, err, table) {
	case exhausted, again: // or every try has failed
		return errors.Join(ErrUnavailable, err)
	case elsewhere:
		return errors.Join(ErrNoPrimary, err)
	}
	return err
}

// connectionLost reports whether the error came from the connection itself,
// rather than from encoding an argument or from the caller.
func connectionLost(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}
