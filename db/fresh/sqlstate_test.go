package fresh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// What is expected of a code, stated apart from the table that decides it.
type expectation struct {
	code  string // that is raised; by default the rule's
	write act
	read  act // of a replica
	// Where there is doubt, COMMIT answered with an ERROR of this code tells
	// nothing. With anything above ERROR it never does.
	doubt bool
}

// An act is what becomes of a transaction or a read whose every try fails.
type act struct {
	kind kind
	seen notice
}

type (
	kind   int
	notice int
)

const (
	fails      kind = iota // at once, with the server's own error
	gaveUp                 // at once, with ErrUnavailable
	threeTries             // of a transaction on new connections, then ErrNoPrimary
	retried                // three times on any connection, then ErrUnavailable
	onceMore               // and then ErrUnavailable
	replanned              // once more on a new connection; a read twice on each replica, then on the primary
	goesOn                 // a read: to the next replica, then to the primary
	toPrimary              // a read: at once
	retires                // a read: goes on, and the replica serves no more
)

// Of a transaction: how often it is run, and what the caller can tell the last
// error by.
var (
	triesOf = map[kind]int{fails: 1, gaveUp: 1, threeTries: 3, retried: 3, onceMore: 2, replanned: 2}
	toldOf  = map[kind]error{
		gaveUp: fresh.ErrUnavailable, threeTries: fresh.ErrNoPrimary,
		retried: fresh.ErrUnavailable, onceMore: fresh.ErrUnavailable,
	}
)

const (
	quiet  notice = iota
	counts        // in the metric
	alarms        // and in the log
)

var expectations = map[string]expectation{
	"08":    {"08006", act{threeTries, quiet}, act{goesOn, quiet}, true},
	"08P01": {"", act{threeTries, alarms}, act{goesOn, alarms}, true},
	"08007": {"", act{threeTries, counts}, act{goesOn, counts}, true},
	"40003": {"", act{threeTries, counts}, act{goesOn, counts}, true},
	"57P01": {"", act{threeTries, quiet}, act{goesOn, quiet}, true},
	"57P02": {"", act{threeTries, quiet}, act{goesOn, quiet}, true},
	"57P03": {"", act{threeTries, quiet}, act{goesOn, quiet}, true},
	"57P04": {"", act{gaveUp, alarms}, act{goesOn, alarms}, true},
	"57P05": {"", act{onceMore, alarms}, act{goesOn, alarms}, false},
	"25P03": {"", act{onceMore, alarms}, act{goesOn, alarms}, false},
	"25P04": {"", act{onceMore, alarms}, act{goesOn, alarms}, false},
	"25006": {"", act{threeTries, quiet}, act{fails, alarms}, false},
	"55000": {"", act{threeTries, quiet}, act{fails, alarms}, false},
	"28":    {"28000", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"3D000": {"", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"40001": {"", act{retried, quiet}, act{toPrimary, quiet}, false},
	"40P01": {"", act{retried, counts}, act{toPrimary, quiet}, false},
	"55P03": {"", act{gaveUp, quiet}, act{toPrimary, quiet}, false},
	"57014": {"", act{gaveUp, quiet}, act{gaveUp, quiet}, false},
	"53":    {"53000", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"53100": {"", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"53200": {"", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"53300": {"", act{gaveUp, counts}, act{goesOn, counts}, false},
	"53400": {"", act{gaveUp, alarms}, act{goesOn, alarms}, false},
	"58":    {"58000", act{fails, alarms}, act{goesOn, alarms}, true},
	"58030": {"", act{fails, alarms}, act{retires, alarms}, true},
	"58P01": {"", act{fails, alarms}, act{retires, alarms}, true},
	"XX000": {"", act{fails, alarms}, act{goesOn, alarms}, true},
	"XX001": {"", act{fails, alarms}, act{retires, alarms}, true},
	"XX002": {"", act{fails, alarms}, act{retires, alarms}, true},
	"0A000": {"", act{replanned, counts}, act{replanned, counts}, false},
	"26000": {"", act{replanned, counts}, act{replanned, counts}, false},
	"42P05": {"", act{replanned, counts}, act{replanned, counts}, false},
	"42P01": {"", act{gaveUp, alarms}, act{goesOn, counts}, false},
	"42703": {"", act{gaveUp, alarms}, act{goesOn, counts}, false},
	"42883": {"", act{gaveUp, alarms}, act{goesOn, counts}, false},
	"22":    {"22003", act{fails, counts}, act{fails, counts}, false},
	"23":    {"23505", act{fails, quiet}, act{fails, quiet}, false},
	"40002": {"", act{fails, quiet}, act{fails, quiet}, false},
	"P0001": {"", act{fails, quiet}, act{fails, quiet}, false},
	"25P02": {"", act{fails, counts}, act{fails, counts}, false},
	"42":    {"42601", act{fails, alarms}, act{fails, alarms}, false},
	"42501": {"", act{fails, alarms}, act{fails, alarms}, false},
	"54":    {"54001", act{fails, counts}, act{fails, counts}, false},
	// In no rule: one that PostgreSQL has, one of a program's own, and one of a
	// class that has no rule.
	"?1": {"25001", act{fails, alarms}, act{fails, alarms}, true},
	"?2": {"LW001", act{fails, alarms}, act{fails, alarms}, true},
	"?3": {"99999", act{fails, alarms}, act{fails, alarms}, true},
}

func init() {
	for rule, e := range expectations {
		if e.code == "" {
			e.code = rule
			expectations[rule] = e
		}
	}
}

func TestEveryRuleHasACase(t *testing.T) {
	unseen := map[string]bool{}
	for rule := range expectations {
		unseen[rule] = !strings.HasPrefix(rule, "?")
	}
	for _, rule := range fresh.RuleCodes() {
		if _, ok := expectations[rule]; !ok {
			t.Errorf("nothing is expected of %s", rule)
		}
		delete(unseen, rule)
	}
	for rule, missing := range unseen {
		if missing {
			t.Errorf("no rule for %s", rule)
		}
	}
}

// logged is what a router has logged; safe to read while it logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watched gives a router a registry and a log of its own.
func watched(registry *prometheus.Registry, log *logged) func(*fresh.Config) {
	return func(c *fresh.Config) {
		c.Metrics = registry
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}
}

// raise is SQL that fails with the code.
func raise(code string) string {
	return "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '" + code + "', MESSAGE = 'hunter2', DETAIL = 'hunter2'; END $$"
}

// raiseOnStandby fails on a standby only.
func raiseOnStandby(code string) string {
	return strings.NewReplacer("BEGIN", "BEGIN IF pg_is_in_recovery() THEN", "END $$", "END IF; END $$").Replace(raise(code))
}

// Each rule on real servers, which raise its code in a transaction, in a read of
// a replica and in a read of the primary.
func TestRulesOnServers(t *testing.T) {
	b := setup(t)
	for rule, e := range expectations {
		t.Run(e.code, func(t *testing.T) {
			registry, log := prometheus.NewRegistry(), &logged{}
			config := b.Config()
			config.WriteConns = 1
			watched(registry, log)(&config)
			router := b.NewRouter(t, config)
			count := func() float64 { return sumOf(t, registry, "leeway_unexpected_sqlstate_total", e.code) }

			tries := wantWrite(t, router, e)
			if got, want := count(), float64(tries*int(min(e.write.seen, counts))); got != want {
				t.Errorf("the transaction counted %v alarms, want %v", got, want)
			}
			before := count()
			tries = wantRead(t, b, router, e)
			if e.read.kind == replanned {
				tries /= 2 // the first on a node is what DDL does to a cached plan
			}
			if got, want := count()-before, float64(tries*int(min(e.read.seen, counts))); got != want {
				t.Errorf("the read of a replica counted %v alarms, want %v", got, want)
			}
			wantPrimaryRead(t, router, e)

			lines := strings.Count(log.String(), "sqlstate="+e.code)
			if loud := e.write.seen == alarms || e.read.seen == alarms; loud != (lines == 1) || lines > 1 {
				t.Errorf("logged %d times, want once if it is an alarm (rule %s):\n%s", lines, rule, log)
			}
			if strings.Contains(log.String(), "hunter2") {
				t.Errorf("the log repeats the server's message:\n%s", log)
			}
		})
	}
}

// wantWrite runs a transaction that fails at every try, and returns how many
// there were.
func wantWrite(t *testing.T, router *fresh.Router, e expectation) (runs int) {
	t.Helper()
	backend := func() (pid int) {
		ctx, _ := session(t, fresh.Position{})
		if err := router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			return tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		}); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := backend()
	ctx, c := session(t, fresh.Position{})
	err := router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		runs++
		if _, err := tx.Exec(ctx, addOne); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, raise(e.code))
		return err
	})
	wantRuns, wantErr := triesOf[e.write.kind], toldOf[e.write.kind]
	if runs != wantRuns || sqlState(err) != e.code || !isExactly(err, wantErr) {
		t.Errorf("transaction: %v after %d tries, want %v after %d", err, runs, wantErr, wantRuns)
	}
	if token, raised := c.Token(); raised {
		t.Errorf("a failed transaction raised the token to %v", token)
	}
	dropped := e.write.kind == threeTries || e.write.kind == replanned
	if after := backend(); (after != before) != dropped {
		t.Errorf("transaction: backend %d before and %d after, want a new one: %v", before, after, dropped)
	}
	return runs
}

// isExactly: of the errors that a client can act on, err is want and no other.
func isExactly(err, want error) bool {
	for _, sentinel := range []error{
		fresh.ErrUnavailable, fresh.ErrNoPrimary, fresh.ErrCommitUnknown, fresh.ErrOverloaded, fresh.ErrUnprovable,
	} {
		if errors.Is(err, sentinel) != (sentinel == want) {
			return false
		}
	}
	return true
}

// wantRead runs a read that fails on each standby, and returns how often it did.
func wantRead(t *testing.T, b *bench, router *fresh.Router, e expectation) (onReplicas int) {
	t.Helper()
	read := func() (int, int, fresh.Served, error) {
		ctx, c := session(t, fresh.Position{})
		replicas, primaries := 0, 0
		err := router.Snapshot(ctx, fresh.Bounded(30*second), func(ctx context.Context, tx fresh.ReadTx) error {
			var standby bool
			if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
				return err
			}
			if standby {
				replicas++
			} else {
				primaries++
			}
			_, err := tx.Exec(ctx, raiseOnStandby(e.code))
			return err
		})
		served, _ := c.Served()
		return replicas, primaries, served, err
	}
	replicas, primaries, served, err := read()
	wantReplicas := map[kind]int{goesOn: 2, retires: 2, replanned: 4}[e.read.kind]
	switch e.read.kind {
	case fails, gaveUp:
		want := map[kind]error{gaveUp: fresh.ErrUnavailable}[e.read.kind]
		if replicas != 1 || primaries != 0 || sqlState(err) != e.code || !isExactly(err, want) {
			t.Errorf("read: %v, %d tries on replicas, %d on the primary; want one on a replica, and %v", err, replicas, primaries, want)
		}
	case toPrimary:
		if err != nil || replicas != 1 || primaries != 1 || !served.Primary || served.Reason != fresh.ReasonConflict {
			t.Errorf("read: %v from %+v, %d tries on replicas, %d on the primary; want one on each", err, served, replicas, primaries)
		}
	default:
		if err != nil || replicas != wantReplicas || primaries != 1 || !served.Primary || served.Reason != fresh.ReasonNoReplica {
			t.Errorf("read: %v from %+v, %d tries on replicas, %d on the primary; want %d and 1", err, served, replicas, primaries, wantReplicas)
		}
	}
	again, _, _, _ := read()
	if retired := again == 0; retired != (e.read.kind == retires) {
		t.Errorf("the next read asked replicas %d times", again)
	}
	return replicas + again
}

// wantPrimaryRead runs a read of the primary that always fails. A second try is
// for a connection that was an old one, or a plan.
func wantPrimaryRead(t *testing.T, router *fresh.Router, e expectation) {
	t.Helper()
	want, runs := e.write.kind, 0
	if e.code == "25006" {
		want = fails // no read writes
	}
	ctx, _ := session(t, fresh.Position{})
	err := router.Snapshot(ctx, fresh.Strong(), func(ctx context.Context, tx fresh.ReadTx) error {
		runs++
		_, err := tx.Exec(ctx, raise(e.code))
		return err
	})
	wantRuns := min(triesOf[want], 2)
	wantErr := toldOf[want]
	if runs != wantRuns || sqlState(err) != e.code || !isExactly(err, wantErr) {
		t.Errorf("read of the primary: %v after %d tries, want %v after %d", err, runs, wantErr, wantRuns)
	}
}

// A read that may be stale asks the replicas by the same rules.
func TestRulesOfStaleReads(t *testing.T) {
	b := setup(t)
	for _, tt := range []struct {
		code                string
		replicas, primaries int
		next                int // 0: the next read asks no replica
		told                error
	}{
		{"40001", 1, 1, 1, nil},
		{"57P01", 2, 1, 2, nil},
		{"42P01", 2, 1, 2, nil},
		{"22003", 1, 0, 1, nil},
		{"57014", 1, 0, 1, fresh.ErrUnavailable},
		{"XX001", 2, 1, 0, nil}, // the last: it ends them
	} {
		read := func() (replicas, primaries int, err error) {
			ctx, _ := session(t, fresh.Position{})
			// Within a millisecond nothing is provable, the last sample is older.
			err = b.router.Snapshot(ctx, fresh.Bounded(time.Millisecond).Else(fresh.ServeStale), func(ctx context.Context, tx fresh.ReadTx) error {
				var standby bool
				if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
					return err
				}
				if standby {
					replicas++
				} else {
					primaries++
				}
				_, err := tx.Exec(ctx, raiseOnStandby(tt.code))
				return err
			})
			return replicas, primaries, err
		}
		replicas, primaries, err := read()
		if replicas != tt.replicas || primaries != tt.primaries || !isExactly(err, tt.told) || (err == nil) != (primaries == 1) {
			t.Errorf("%s: %v after %d tries on replicas and %d on the primary, want %v after %d and %d",
				tt.code, err, replicas, primaries, tt.told, tt.replicas, tt.primaries)
		}
		if again, _, _ := read(); (again == 0) != (tt.next == 0) {
			t.Errorf("%s: the next read asked replicas %d times", tt.code, again)
		}
	}
}

// sumOf is the value of the counters and gauges that have the label value; of all without one.
func sumOf(t *testing.T, registry *prometheus.Registry, family, label string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == family && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// A replica whose storage fails comes back once it has been seen down.
func TestADamagedReplicaServesAgainAfterARestart(t *testing.T) {
	b := setup(t)
	served := map[string]bool{}
	read := func(sql string) error {
		ctx, c := session(t, fresh.Position{})
		rows, err := b.router.Reader(fresh.Bounded(30*second)).Query(ctx, sql)
		rows.Close()
		s, _ := c.Served()
		served[s.Node] = true
		return err
	}
	if err := read(raiseOnStandby("XX001")); err != nil {
		t.Fatal(err)
	}
	clear(served)
	for range 20 {
		if err := read(readCounter); err != nil {
			t.Fatal(err)
		}
	}
	if len(served) != 1 || !served[b.Primary().Name()] {
		t.Fatalf("read from %v, want the primary only: both replicas are damaged", served)
	}
	victim := b.Replicas()[0]
	dbtest.Do(t, victim.Kill)
	b.awaitStatus(t, victim, false)
	dbtest.Do(t, victim.Start)
	dbtest.Eventually(t, "the rebuilt replica serves", func() bool {
		return read(readCounter) == nil && served[victim.Name()]
	})
	if other := b.Replicas()[1].Name(); served[other] {
		t.Errorf("%s serves, and nobody has rebuilt it", other)
	}
}

// fakes starts a router on servers that can be told to fail.
func fakes(t *testing.T, standbys int) (router *fresh.Router, registry *prometheus.Registry, nodes []*fakePG) {
	t.Helper()
	var config fresh.Config
	registry = prometheus.NewRegistry()
	watched(registry, &logged{})(&config)
	for i := range 1 + standbys {
		f := newFakePG(t, i > 0)
		nodes = append(nodes, f)
		config.Nodes = append(config.Nodes, f.node(fmt.Sprintf("node-%d", i)))
	}
	return (&dbtest.Env{}).NewRouter(t, config), registry, nodes
}

// on is a fault for the SQL that begins with a word, or for "connect".
func on(word string, f fault) func(string) *fault {
	return func(what string) *fault {
		if strings.HasPrefix(what, word) {
			return &f
		}
		return nil
	}
}

// Whatever answers COMMIT: it was sent once, the function ran once, and the
// caller gets a refusal that is certain or ErrCommitUnknown. The answer is
// counted once even so.
func TestNothingIsRetriedOnceCommitWasSent(t *testing.T) {
	router, registry, nodes := fakes(t, 0)
	primary := nodes[0]
	try := func(t *testing.T, f fault) error {
		t.Helper()
		primary.failing(on("COMMIT", f))
		ctx, c := session(t, fresh.Position{})
		runs := 0
		err := router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			runs++
			_, err := tx.Exec(ctx, "DO")
			return err
		})
		if commits := primary.counted("COMMIT"); runs != 1 || commits != 1 {
			t.Errorf("%+v: the function ran %d times, and COMMIT was sent %d times", f, runs, commits)
		}
		if token, raised := c.Token(); raised {
			t.Errorf("%+v: the token was raised to %v", f, token)
		}
		return err
	}
	for _, e := range expectations {
		t.Run(e.code, func(t *testing.T) {
			before := sumOf(t, registry, "leeway_unexpected_sqlstate_total", "")
			var refusal error
			switch {
			case e.doubt:
				refusal = fresh.ErrCommitUnknown
			case e.write.kind != fails:
				refusal = fresh.ErrUnavailable // and not ErrNoPrimary: it was there
			}
			if err := try(t, fault{severity: "ERROR", code: e.code}); sqlState(err) != e.code || !isExactly(err, refusal) {
				t.Errorf("ERROR: %v, want %v", err, refusal)
			}
			for _, severity := range []string{"FATAL", "PANIC"} {
				if err := try(t, fault{severity: severity, code: e.code, cut: true}); !isExactly(err, fresh.ErrCommitUnknown) {
					t.Errorf("%s: %v, want ErrCommitUnknown", severity, err)
				}
			}
			seen := sumOf(t, registry, "leeway_unexpected_sqlstate_total", "") - before
			// Of a PANIC the driver passes on the end of file that follows.
			if want := float64(2 * min(e.write.seen, counts)); seen != want {
				t.Errorf("counted %v times, want %v", seen, want)
			}
		})
	}
	for name, f := range map[string]fault{
		"end of file":                   {cut: true},
		"reset":                         {reset: true},
		"a cancelled wait":              {severity: "WARNING", code: "01000"},
		"a wait ended by a shutdown":    {severity: "WARNING", code: "57P01"},
		"a wait ended by a crash":       {severity: "WARNING", code: "57P02"},
		"a shutdown and an end of file": {severity: "WARNING", code: "57P01", cut: true},
		"a warning and a reset":         {severity: "WARNING", code: "01000", reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := try(t, f); !isExactly(err, fresh.ErrCommitUnknown) {
				t.Errorf("%v, want ErrCommitUnknown", err)
			}
		})
	}
	primary.failing(nil)
	if got := sumOf(t, registry, "leeway_unexpected_sqlstate_total", "other"); got == 0 {
		t.Error("none of more than 32 codes was counted under other")
	}
}

// A FATAL error ends the session with it: before COMMIT the rule says the same
// as for an ERROR, and the next try finds a connection that lives.
func TestFatalErrorsBeforeCommit(t *testing.T) {
	router, _, nodes := fakes(t, 0)
	primary := nodes[0]
	for _, e := range expectations {
		primary.failing(on("DO", fault{severity: "FATAL", code: e.code}))
		ctx, _ := session(t, fresh.Position{})
		err := router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			_, err := tx.Exec(ctx, "DO")
			return err
		})
		want := triesOf[e.write.kind]
		if begins, commits := primary.counted("BEGIN"), primary.counted("COMMIT"); begins != want || commits != 0 || sqlState(err) != e.code {
			t.Errorf("%s: %v after %d BEGIN and %d COMMIT, want %d and none", e.code, err, begins, commits, want)
		}
		primary.failing(nil)
		if err := router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil }); err != nil {
			t.Errorf("after %s: %v", e.code, err)
		}
	}
	for name, f := range map[string]fault{"end of file": {cut: true}, "reset": {reset: true}} {
		primary.failing(on("DO", f))
		ctx, _ := session(t, fresh.Position{})
		err := router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
			_, err := tx.Exec(ctx, "DO")
			return err
		})
		if begins := primary.counted("BEGIN"); begins != 3 || !isExactly(err, fresh.ErrNoPrimary) {
			t.Errorf("%s: %v after %d tries, want ErrNoPrimary after 3", name, err, begins)
		}
	}
}

// A replica that sends a FATAL error is asked once. Then the primary answers, or
// nobody if the error is the caller's own.
func TestFatalErrorsOfAReplica(t *testing.T) {
	for _, e := range expectations {
		router, _, nodes := fakes(t, 1)
		primary, replica := nodes[0], nodes[1]
		replica.failing(on("TABLE", fault{severity: "FATAL", code: e.code}))
		ctx, c := session(t, fresh.Position{})
		err := router.Reader(fresh.Bounded(30*second)).QueryRow(ctx, "TABLE one").Scan(new(int))
		served, _ := c.Served()
		want := 1
		if e.read.kind == fails || e.read.kind == gaveUp {
			want = 0
		}
		if r, p := replica.counted("TABLE"), primary.counted("TABLE"); r != 1 || p != want || (err == nil) != (want == 1) || served.Primary != (want == 1) {
			t.Errorf("%s: %v from %+v; the replica was asked %d times and the primary %d, want 1 and %d", e.code, err, served, r, p, want)
		}
	}
}

// What a server says to a connection that is being made: nobody dials in a loop.
func TestErrorsOnConnecting(t *testing.T) {
	for code, want := range map[string]struct {
		dials int
		err   error
	}{
		"28P01": {1, fresh.ErrUnavailable}, // a second try would lock the account
		"28000": {1, fresh.ErrUnavailable},
		"3D000": {1, fresh.ErrUnavailable},
		"53300": {1, fresh.ErrUnavailable}, // no redial storm
		"57P03": {3, fresh.ErrNoPrimary},
		"57P01": {3, fresh.ErrNoPrimary},
		"08004": {3, fresh.ErrNoPrimary},
		"42501": {3, fresh.ErrNoPrimary}, // no right to connect to the database
		"LW001": {3, fresh.ErrNoPrimary},
	} {
		t.Run(code, func(t *testing.T) {
			router, _, nodes := fakes(t, 1)
			replica, primary := nodes[1], nodes[0]
			primary.failing(on("connect", fault{severity: "FATAL", code: code}))
			ctx, _ := session(t, fresh.Position{})
			err := router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil })
			if dials := primary.counted("connect"); dials != want.dials || !isExactly(err, want.err) || sqlState(err) != code {
				t.Errorf("transaction: %v after %d dials, want %v after %d", err, dials, want.err, want.dials)
			}
			primary.failing(nil)
			replica.failing(on("connect", fault{severity: "FATAL", code: code}))
			ctx, c := session(t, fresh.Position{})
			err = router.Reader(fresh.Bounded(30*second)).QueryRow(ctx, "TABLE one").Scan(new(int))
			if served, _ := c.Served(); err != nil || !served.Primary || replica.counted("connect") != 1 {
				t.Errorf("read: %v from %+v after %d dials of the replica, want the primary after one", err, served, replica.counted("connect"))
			}
		})
	}
}
