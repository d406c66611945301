package fresh

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
)

// A verdict is what an error on one node means for the read or the transaction,
// as long as COMMIT has not been sent. Once it has, nothing is run again,
// whatever the verdict.
type verdict uint8

const (
	final     verdict = iota // the caller's own: another node would say the same
	elsewhere                // this node cannot answer now, another may
	demoted                  // the same, and every connection to it would say so (condemn)
	conflict                 // replay cancelled the read: ask the primary, never this node again
	damaged                  // its storage fails: the node serves no more reads (retire)
	again                    // the transaction was rolled back; running it anew may succeed
	once                     // the same, but a second failure is not bad luck
	replan                   // a prepared statement is not what it was; nothing has run, and it may once more on what is not cached
	exhausted                // more tries would make it worse: tell the client to come back

	verdicts = 1<<4 - 1
	// counted and alarm go into leeway_unexpected_sqlstate_total, alarm also into
	// the log: somebody has to look, whatever becomes of the request.
	counted verdict = 1 << 4
	alarm   verdict = 1 << 5
	// doubt: in answer to COMMIT it does not tell whether the transaction is
	// durable. So it is for every severity above ERROR. PostgreSQL itself raises
	// an ERROR only while it can still roll back, but these also come from what
	// may stand between: a pooler, or a foreign server.
	doubt verdict = 1 << 6
)

// A rule says what one SQLSTATE means (manual, appendix A), by the role of the
// node that raised it.
type rule struct {
	code             string // or, with two characters, the class: for its codes without a rule of their own
	primary, replica verdict
	why              string
}

// rules decide everything that depends on an SQLSTATE. Message texts decide
// nothing: they are translated, and change between versions.
var rules = []rule{
	// The connection, or the server behind it, has gone.
	{"08", elsewhere | doubt, elsewhere, "the connection broke: as an end of file"},
	{"08P01", elsewhere | doubt | alarm, elsewhere | alarm, "driver and server, or a pooler between them, do not speak the same protocol"},
	{"08007", elsewhere | doubt | counted, elsewhere | counted, "the outcome of the transaction is not known"},
	{"40003", elsewhere | doubt | counted, elsewhere | counted, "the outcome of the statement is not known"},
	{"57P01", elsewhere | doubt, elsewhere, "the server shuts down, or the session was terminated"},
	{"57P02", elsewhere | doubt, elsewhere, "another backend crashed, and all are restarted"},
	{"57P03", elsewhere | doubt, elsewhere, "the server starts up or shuts down"},
	{"57P04", exhausted | doubt | alarm, elsewhere | alarm, "the database was dropped"},
	{"57P05", once | alarm, elsewhere | alarm, "idle_session_timeout is set: it ends pooled connections"},
	{"25P03", once | alarm, elsewhere | alarm, "a transaction was idle for longer than its time-out"},
	{"25P04", once | alarm, elsewhere | alarm, "transaction_timeout (PostgreSQL 17)"},

	// The node is not what it was taken for.
	{"25006", demoted, final | alarm, "on a write: demoted, and nothing was applied; on a read: the program writes in a read"},
	{"55000", demoted, final | alarm, "recovery is in progress: demoted; on a replica the program uses what only a primary has"},
	{"28", exhausted | alarm, elsewhere | alarm, "it lets us not in; trying again would lock the account"},
	{"3D000", exhausted | alarm, elsewhere | alarm, "it has no such database"},

	// Concurrency.
	{"40001", again, conflict, "serialization failure; on a replica, cancelled by replay (section 27.4.2), which a retry there would only delay"},
	{"40P01", again | counted, conflict, "deadlock: somewhere the order of locks is wrong; on a replica, a buffer pin stood in the way of replay"},
	{"55P03", exhausted, conflict, "a hot row: its next try would wait behind the others; on a replica, replayed DDL holds the lock"},

	// Resources. The client is told to come back; no slow read is pushed on.
	{"57014", exhausted, exhausted, "statement_timeout"},
	{"53", exhausted | alarm, elsewhere | alarm, "resources have run out"},
	{"53100", exhausted | alarm, elsewhere | alarm, "disk full"},
	{"53200", exhausted | alarm, elsewhere | alarm, "out of memory"},
	{"53300", exhausted | counted, elsewhere | counted, "too many connections: more dialling would make it worse"},
	{"53400", exhausted | alarm, elsewhere | alarm, "a configured limit was exceeded"},

	// Storage and internal errors.
	{"58", final | doubt | alarm, elsewhere | alarm, "a system error below the server"},
	{"58030", final | doubt | alarm, damaged | alarm, "the disk does not read or write"},
	{"58P01", final | doubt | alarm, damaged | alarm, "a file of the database is missing"},
	{"XX000", final | doubt | alarm, elsewhere | alarm, "an internal error of the server"},
	{"XX001", final | doubt | alarm, damaged | alarm, "a damaged page"},
	{"XX002", final | doubt | alarm, damaged | alarm, "a damaged index"},

	// The schema is not the one that the program or the connection knows.
	{"0A000", replan | counted, replan | counted, "DDL changed the result of a cached plan; or the program uses what there is not"},
	{"26000", replan | counted, replan | counted, "a prepared statement is lost: a pooler is between"},
	{"42P05", replan | counted, replan | counted, "a prepared statement is there already: likewise"},
	{"42P01", exhausted | alarm, elsewhere | counted, "no such table: on a replica, DDL not replayed yet; on the primary, another version's schema"},
	{"42703", exhausted | alarm, elsewhere | counted, "no such column: likewise"},
	{"42883", exhausted | alarm, elsewhere | counted, "no such function: likewise"},

	// The caller's own. Stores and handlers turn the expected ones into answers;
	// the rest is a 500.
	{"22", final | counted, final | counted, "a value that validation let through"},
	{"23", final, final, "a constraint: its name tells the store what to answer"},
	{"40002", final, final, "a constraint that is checked at the end"},
	{"P0001", final, final, "RAISE EXCEPTION in a trigger: its own word"},
	{"25P02", final | counted, final | counted, "a statement after a failed one: an error was swallowed"},
	{"42", final | alarm, final | alarm, "a statement that this schema cannot run"},
	{"42501", final | alarm, final | alarm, "a missing grant: somebody tries what the role must not do"},
	{"54", final | counted, final | counted, "a statement beyond what the server can do"},
}

// unexpected is the rule for a code that has none: not repeated, told to nobody
// but the log, and no answer to a COMMIT. Unknown means unsafe.
var unexpected = rule{primary: final | doubt | alarm, replica: final | alarm, why: "in no rule"}

func ruleOf(code string) rule {
	found := unexpected
	for _, r := range rules {
		switch {
		case r.code == code:
			return r
		case len(r.code) == 2 && len(code) == 5 && r.code == code[:2]:
			found = r
		}
	}
	return found
}

// A place is where an error was met.
type place uint8

const (
	onReplica place = iota
	onPrimary       // a read of it
	inWrite
)

func (r rule) at(p place) verdict {
	// A read that writes is our mistake wherever it is run: a Snapshot is READ
	// ONLY on the primary too.
	if p == onReplica || p == onPrimary && r.code == "25006" {
		return r.replica
	}
	return r.primary
}

// classify gives the meaning of err. A caller whose context ended gets its own
// error back, whatever the driver made of it.
func classify(ctx context.Context, err error, p place) verdict {
	if err == nil || ctx.Err() != nil || errors.Is(err, pgx.ErrNoRows) || errors.Is(err, ErrReadOnly) {
		return final
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		v := ruleOf(pgErr.Code).at(p) & verdicts
		switch {
		case v == final && connecting:
			return elsewhere // whatever keeps us from connecting here need not elsewhere
		case v != final && errors.Is(err, errRefused):
			return exhausted // the client may come back; we do not send a second COMMIT
		}
		return v
	}
	switch {
	case errors.Is(err, errDemoted):
		return demoted
	case connecting:
		return elsewhere
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return final // a shorter deadline that the caller set itself
	case connectionLost(err):
		return elsewhere
	}
	return final
}

// judge is classify for an error that was just met: it raises the alarm.
func (r *Router) judge(ctx context.Context, err error, p place) verdict {
	if err == nil {
		return final
	}
	if !errors.Is(err, errRefused) { // counted when the COMMIT came back, for the caller may have left
		r.alarms.see(err, p)
	}
	return classify(ctx, err, p)
}

// mayRetry reports whether a transaction that failed at the given try is run
// again.
func (v verdict) mayRetry(try int) bool {
	switch v {
	case again, elsewhere, demoted:
		return try < maxTries
	case once, replan:
		return try < 2
	}
	return false
}

// told returns the error as a caller of the package gets it, once all tries have
// failed.
func told(v verdict, err error) error {
	switch v {
	case exhausted, again, once:
		return errors.Join(ErrUnavailable, err)
	case elsewhere, demoted:
		return errors.Join(ErrNoPrimary, err)
	}
	return err
}

const (
	// maxCodes bounds the label of the metric; further codes are "other". A
	// healthy program meets a handful.
	maxCodes = 32
	// alarmEvery is how often one code is logged: a statement that fails for
	// everybody fails thousands of times.
	alarmEvery = time.Minute
)

// alarms counts and logs the errors that somebody has to look at. Of the error
// it keeps the code only: message and detail may hold what a shopper typed.
type alarms struct {
	log   *slog.Logger
	total *prometheus.CounterVec

	mu     sync.Mutex
	logged map[string]time.Time // by label
}

func (a *alarms) see(err error, p place) {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return
	}
	rule := ruleOf(pgErr.Code)
	v := rule.at(p)
	if v&(counted|alarm) == 0 {
		return
	}
	label, loud := a.admit(pgErr.Code, v&alarm != 0)
	a.total.WithLabelValues(label).Inc()
	if loud {
		a.log.Error("unexpected SQLSTATE", "sqlstate", label, "replica", p == onReplica, "meaning", rule.why)
	}
}

// admit returns the label that a code is counted under, and whether it is time
// to log it.
func (a *alarms) admit(code string, loud bool) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, known := a.logged[code]
	if !known && (len(a.logged) >= maxCodes || !wellFormed(code)) {
		code = "other"
		last = a.logged[code]
	}
	if loud = loud && time.Since(last) >= alarmEvery; loud {
		last = time.Now()
	}
	a.logged[code] = last
	return code, loud
}

// wellFormed: five digits and capitals. What speaks the protocol need not be
// PostgreSQL.
func wellFormed(code string) bool {
	for _, c := range []byte(code) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(code) == 5
}
