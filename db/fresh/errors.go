package fresh

import (
	"errors"
	"io"
	"net"

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
	// time-out, every try into another transaction, connections, memory or disk
	// have run out, or the schema is of another version than the program.
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

// errRefused: the server answered COMMIT with an error, and rolled back.
var errRefused = errors.New("fresh: the commit was refused")

// connectionLost reports whether the error came from the connection itself,
// rather than from encoding an argument or from the caller.
func connectionLost(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}
