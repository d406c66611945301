package fresh_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// A station has one connection to one replica for the reads that share, and doors there
// that stop whoever comes to them.
type station struct {
	*bench
	registry *prometheus.Registry
	replica  *pgx.Conn // of an administrator
}

const (
	readClock = "SELECT now()::text" // when its transaction began: reads of one message have one
	divide    = "SELECT 1 / n FROM counter WHERE id = 1"
)

var shared = fresh.Bounded(time.Hour).Shared()

// door is a statement that waits until the door is open.
func door(n int) string { return fmt.Sprintf("SELECT 0 FROM pg_advisory_xact_lock_shared(%d)", n) }

func newStation(t *testing.T) *station {
	registry := prometheus.NewRegistry()
	b := setup(t, func(c *fresh.Config) { c.SharedConns, c.Nodes, c.Metrics = 1, c.Nodes[:2], registry })
	s := &station{b, registry, b.Admin(t, b.Replicas()[0])}
	b.awaitReplica(t, shared)
	for _, sql := range []string{readClock, door(1), door(2)} {
		if _, _, err := s.ask(t.Context(), fresh.Position{}, sql); err != nil {
			t.Fatal(err) // a statement shares once it is known
		}
	}
	_, _, _ = s.ask(t.Context(), fresh.Position{}, divide)
	return s
}

func (s *station) shut(t *testing.T, n int) {
	t.Helper()
	s.exec(t, s.replica, fmt.Sprintf("SELECT pg_advisory_lock(%d)", n))
}

func (s *station) open(t *testing.T, n int) {
	t.Helper()
	s.exec(t, s.replica, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", n))
}

// atDoor waits until somebody stands before the door.
func (s *station) atDoor(t *testing.T, n int) (pid int) {
	t.Helper()
	dbtest.Eventually(t, "somebody stands at the door", func() bool {
		return s.replica.QueryRow(context.Background(),
			"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted", n).Scan(&pid) == nil
	})
	return pid
}

func (s *station) waiting(t *testing.T, n float64) {
	t.Helper()
	dbtest.Eventually(t, fmt.Sprintf("%v reads wait", n), func() bool { return s.sum(t, "leeway_shared_waiting") == n })
}

func (s *station) sum(t *testing.T, family string) float64 { return sumOf(t, s.registry, family, "") }

// asked is a read on its way.
type asked struct {
	value  string
	served fresh.Served
	err    error
	done   chan struct{}
}

// send asks in the background, and returns when the read waits: so they stand in the order
// in which they were sent.
func (s *station) send(t *testing.T, token fresh.Position, sql string, args ...any) *asked {
	t.Helper()
	a, before := &asked{done: make(chan struct{})}, s.sum(t, "leeway_shared_waiting")
	go func() {
		defer close(a.done)
		a.value, a.served, a.err = s.ask(t.Context(), token, sql, args...)
	}()
	s.waiting(t, before+1)
	return a
}

func (s *station) ask(ctx context.Context, token fresh.Position, sql string, args ...any) (value string, served fresh.Served, err error) {
	ctx, cancel := context.WithTimeout(ctx, dbtest.Limit)
	defer cancel()
	c := fresh.NewCarrier(token)
	rows, err := s.router.Reader(shared).Query(fresh.WithCarrier(ctx, c), sql, args...)
	if err == nil {
		var values []any
		values, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		value = fmt.Sprint(values...)
	}
	served, _ = c.Served()
	return value, served, err
}

// want waits for the answer.
func (a *asked) want(t *testing.T, value string, primary bool) {
	t.Helper()
	<-a.done
	if a.err != nil || value != "" && a.value != value || a.served.Primary != primary {
		t.Errorf("%q from %+v, %v; want %q, of the primary: %v", a.value, a.served, a.err, value, primary)
	}
}

// busy takes the connection, by a read that stands at door 1; open(1) lets it go.
func (s *station) busy(t *testing.T) *asked {
	t.Helper()
	s.shut(t, 1)
	a := &asked{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.value, a.served, a.err = s.ask(t.Context(), fresh.Position{}, door(1))
	}()
	s.atDoor(t, 1)
	return a
}

func TestSharedReadsTravelTogether(t *testing.T) {
	s := newStation(t)
	ahead := s.busy(t)
	var reads []*asked
	for range 20 {
		reads = append(reads, s.send(t, fresh.Position{}, readClock))
	}
	if _, err := s.router.Reader(fresh.Session().Shared()).Query(t.Context(), readClock); err != nil {
		t.Errorf("a session read, which never shares: %v", err)
	}
	s.open(t, 1)
	ahead.want(t, "0", false)
	messages := map[string]int{}
	for i, a := range reads {
		a.want(t, "", false)
		messages[a.value]++
		if i < 16 != (a.value == reads[0].value) {
			t.Errorf("read %d came with the message of %s, the first one of %s", i, a.value, reads[0].value)
		}
	}
	if trips, carried := s.sum(t, "leeway_trips_total"), s.sum(t, "leeway_trip_reads_total"); len(messages) != 2 || trips != 2 || carried != 20 {
		t.Errorf("%v, by the metrics %v trips with %v reads; want 2 with 16 and 4", messages, trips, carried)
	}
	if _, _, err := s.ask(t.Context(), fresh.Position{}, readClock); err != nil || s.sum(t, "leeway_trips_total") != 2 {
		t.Errorf("%v: a read with nobody beside it goes alone", err)
	}
}

// TestAFailureIsNotTheOthers: what the server skips because of it goes again by itself.
func TestAFailureIsNotTheOthers(t *testing.T) {
	s := newStation(t)
	ahead := s.busy(t)
	before := s.send(t, fresh.Position{}, readClock)
	fails := s.send(t, fresh.Position{}, divide)
	behind := s.send(t, fresh.Position{}, readClock)
	if _, _, err := s.ask(t.Context(), fresh.Position{}, readClock, "one argument too many"); err == nil {
		t.Error("arguments that do not fit are no error")
	}
	s.open(t, 1)
	ahead.want(t, "0", false)
	before.want(t, "", false)
	behind.want(t, "", false)
	if <-fails.done; sqlState(fails.err) != "22012" {
		t.Errorf("%v, want a division by zero", fails.err)
	}
	if before.value == behind.value {
		t.Error("the read behind the failed one came with its message: nothing was skipped")
	}
}

// TestATripHoldsEachToItsFloor, on a replica that is behind the token of one of them.
func TestATripHoldsEachToItsFloor(t *testing.T) {
	s := newStation(t)
	_, _, _ = s.ask(t.Context(), fresh.Position{}, readCounter)
	s.Pause(t)
	token := s.add(t)
	ahead := s.busy(t)
	first := s.send(t, fresh.Position{}, readCounter)
	own := s.send(t, token, readCounter)
	last := s.send(t, fresh.Position{}, readCounter)
	s.open(t, 1)
	ahead.want(t, "0", false)
	first.want(t, "0", false)
	own.want(t, "1", true)
	last.want(t, "0", false)
	if own.served.Reason != fresh.ReasonToken {
		t.Errorf("%+v, want the reason to be the token", own.served)
	}
	if trips := s.sum(t, "leeway_trips_total"); trips != 1 {
		t.Errorf("%v trips, want 1", trips)
	}
}

// TestTheGuardOfATripGoesFirst: a replica that reaches the floor between a read and the end
// of its message has not reached it for the read.
func TestTheGuardOfATripGoesFirst(t *testing.T) {
	s := newStation(t)
	_, _, _ = s.ask(t.Context(), fresh.Position{}, readCounter)
	s.Pause(t)
	token := s.add(t)
	s.shut(t, 2)
	ahead := s.busy(t)
	own := s.send(t, token, readCounter)
	between := s.send(t, fresh.Position{}, door(2))
	s.open(t, 1)
	s.atDoor(t, 2)
	s.Resume(t)
	s.CatchUp(t)
	s.open(t, 2)
	ahead.want(t, "0", false)
	between.want(t, "0", false)
	own.want(t, "1", true)
}

// TestWhoLeavesATripKeepsNobody, neither in the queue nor on the way.
func TestWhoLeavesATripKeepsNobody(t *testing.T) {
	s := newStation(t)
	s.shut(t, 2)
	ahead := s.busy(t)
	leaver := func() (*asked, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		before := s.sum(t, "leeway_shared_waiting")
		a := &asked{done: make(chan struct{})}
		go func() {
			defer close(a.done)
			a.value, a.served, a.err = s.ask(ctx, fresh.Position{}, readClock)
		}()
		s.waiting(t, before+1)
		return a, cancel
	}
	early, cancelEarly := leaver()
	between := s.send(t, fresh.Position{}, door(2))
	late, cancelLate := leaver()
	stays := s.send(t, fresh.Position{}, readClock)

	cancelEarly()
	if <-early.done; !errors.Is(early.err, context.Canceled) {
		t.Errorf("who left the queue got %q, %v", early.value, early.err)
	}
	s.waiting(t, 3)
	s.open(t, 1)
	s.atDoor(t, 2)
	cancelLate()
	if <-late.done; !errors.Is(late.err, context.Canceled) {
		t.Errorf("who left on the way got %q, %v", late.value, late.err)
	}
	s.open(t, 2)
	ahead.want(t, "0", false)
	between.want(t, "0", false)
	stays.want(t, "", false)
	if carried := s.sum(t, "leeway_trip_reads_total"); carried != 3 {
		t.Errorf("%v reads went together, want 3", carried)
	}
}

// TestALostTripGoesElsewhere: with its connection lost, none of its reads is.
func TestALostTripGoesElsewhere(t *testing.T) {
	s := newStation(t)
	s.shut(t, 2)
	ahead := s.busy(t)
	reads := []*asked{
		s.send(t, fresh.Position{}, readClock),
		s.send(t, fresh.Position{}, door(2)),
		s.send(t, fresh.Position{}, readClock),
	}
	s.open(t, 1)
	s.exec(t, s.replica, fmt.Sprintf("SELECT pg_terminate_backend(%d)", s.atDoor(t, 2)))
	ahead.want(t, "0", false)
	for _, a := range reads[1:] {
		a.want(t, "", true)
		if a.served.Reason != fresh.ReasonNoReplica {
			t.Errorf("%+v", a.served)
		}
	}
	reads[0].want(t, "", false) // it had been answered
	s.open(t, 2)
	s.awaitReplica(t, shared)
}

// TestATripLeavesAFrozenReplica: those that wait for one go on elsewhere, too.
func TestATripLeavesAFrozenReplica(t *testing.T) {
	s := newStation(t)
	ahead := s.busy(t)
	var reads []*asked
	for range 20 { // more than one trip takes
		reads = append(reads, s.send(t, fresh.Position{}, readClock))
	}
	victim := s.Replicas()[0]
	t.Cleanup(func() { dbtest.Do(t, victim.Thaw) })
	dbtest.Do(t, victim.Freeze)
	ahead.want(t, "0", true)
	for _, a := range reads {
		a.want(t, "", true)
	}
}

// TestChangedPlansAreAbsorbedInATrip, for the statement that has changed and for those
// that travel with it.
func TestChangedPlansAreAbsorbedInATrip(t *testing.T) {
	s := newStation(t)
	const all = "SELECT * FROM counter WHERE id = 1"
	_, _, _ = s.ask(t.Context(), fresh.Position{}, all)
	ahead := s.busy(t)
	s.exec(t, s.Admin(t, s.Primary()), "ALTER TABLE counter ADD COLUMN extra int DEFAULT 7")
	s.CatchUp(t)
	reads := []*asked{s.send(t, fresh.Position{}, readClock), s.send(t, fresh.Position{}, all), s.send(t, fresh.Position{}, readClock)}
	s.open(t, 1)
	ahead.want(t, "0", false)
	reads[0].want(t, "", false)
	reads[1].want(t, "1 0 7", false)
	reads[2].want(t, "", false)
}

// TestATripIsStamped for those who ask for it, and only for them.
func TestATripIsStamped(t *testing.T) {
	s := newStation(t)
	keys, err := fresh.NewKeyring(bytes.Repeat([]byte{7}, fresh.MinTokenKey))
	if err != nil {
		t.Fatal(err)
	}
	w := &web{bench: s.bench, keys: keys}
	_, _, _ = s.ask(t.Context(), fresh.Position{}, readCounter)
	token := w.add(t)
	w.CatchUp(t)
	ahead := s.busy(t)
	var both sync.WaitGroup
	both.Go(func() {
		w.through(t, func(ctx context.Context, c *fresh.Carrier) {
			n := w.count(ctx, t, shared.Bookmarked())
			if err := c.Resume(c.Bookmark()); err != nil {
				t.Errorf("bookmark %q: %v", c.Bookmark(), err)
			}
			if seen, _ := c.Token(); n != 1 || !seen.Reached(token) {
				t.Errorf("the bookmark of a read that saw %d is %v, before the commit at %v", n, seen, token)
			}
		})
	})
	both.Go(func() {
		w.through(t, func(ctx context.Context, c *fresh.Carrier) {
			w.count(ctx, t, shared)
			if c.Bookmark() != "" {
				t.Error("a read is stamped that did not ask for it")
			}
		})
	})
	s.waiting(t, 2)
	s.open(t, 1)
	both.Wait()
	ahead.want(t, "0", false)
}

// TestASlowReadIsToldWhereItIs: the server's time-out ends it and nothing else, and nobody
// goes to the primary.
func TestASlowReadIsToldWhereItIs(t *testing.T) {
	s := newStation(t)
	const sleep = "SELECT pg_sleep($1)::text"
	if _, _, err := s.ask(t.Context(), fresh.Position{}, sleep, 0.0); err != nil {
		t.Fatal(err)
	}
	ahead := s.busy(t)
	before := s.send(t, fresh.Position{}, readClock)
	slow := s.send(t, fresh.Position{}, sleep, 20.0)
	behind := s.send(t, fresh.Position{}, readClock)
	s.open(t, 1)
	ahead.want(t, "0", false)
	before.want(t, "", false)
	behind.want(t, "", false)
	if <-slow.done; !errors.Is(slow.err, fresh.ErrUnavailable) || slow.served.Primary {
		t.Errorf("%v from %+v, want ErrUnavailable of the replica", slow.err, slow.served)
	}
	if skips := s.sum(t, "leeway_trip_skips_total"); skips != 1 {
		t.Errorf("%v reads were skipped, want the one behind", skips)
	}
}

// TestATripEndsInTime: what takes too long goes again by itself, at the same replica.
func TestATripEndsInTime(t *testing.T) {
	s := newStation(t)
	s.shut(t, 2)
	ahead := s.busy(t)
	fresh.LimitTrips(s.router, 100*time.Millisecond)
	before := s.send(t, fresh.Position{}, readClock)
	slow := s.send(t, fresh.Position{}, door(2))
	behind := s.send(t, fresh.Position{}, readClock)
	s.open(t, 1)
	ahead.want(t, "0", false)
	before.want(t, "", false)
	behind.want(t, "", false)
	s.open(t, 2)
	slow.want(t, "0", false)
}

// TestAPanicOnATripIsNobodys: all aboard go again by themselves, and what has become of the
// connection nobody asks.
func TestAPanicOnATripIsNobodys(t *testing.T) {
	s := newStation(t)
	ahead := s.busy(t)
	reads := []*asked{s.send(t, fresh.Position{}, readClock), s.send(t, fresh.Position{}, readClock)}
	fresh.SpoilWaiting(s.router)
	before := s.backend(t)
	s.open(t, 1)
	ahead.want(t, "0", false)
	for _, a := range reads {
		a.want(t, "", false)
	}
	if skips := s.sum(t, "leeway_trip_skips_total"); skips != 2 {
		t.Errorf("%v reads were skipped, want both", skips)
	}
	if _, _, err := s.ask(t.Context(), fresh.Position{}, readClock); err != nil {
		t.Error(err)
	}
	if after := s.backend(t); after == before {
		t.Errorf("the connection to backend %d is used again", after)
	}
}

// explosive is an argument that cannot be encoded.
type explosive struct{}

func (explosive) Value() (driver.Value, error) { panic("mine") }

// TestAnArgumentsPanicIsItsCallers, also where others wait for the same connection.
func TestAnArgumentsPanicIsItsCallers(t *testing.T) {
	s := newStation(t)
	const echo = "SELECT $1::text"
	if _, _, err := s.ask(t.Context(), fresh.Position{}, echo, "a"); err != nil {
		t.Fatal(err)
	}
	explode := func() (met any) {
		defer func() { met = recover() }()
		_, _, err := s.ask(t.Context(), fresh.Position{}, echo, explosive{})
		return err
	}
	ahead := s.busy(t)
	read := s.send(t, fresh.Position{}, echo, "b")
	if met := explode(); met != "mine" {
		t.Errorf("while the connection is out: %v", met)
	}
	s.open(t, 1)
	ahead.want(t, "0", false)
	read.want(t, "b", false)
	if met := explode(); met != "mine" {
		t.Errorf("with a connection for itself: %v", met)
	}
	next := s.busy(t) // it is not lost
	read = s.send(t, fresh.Position{}, echo, "c")
	s.open(t, 1)
	next.want(t, "0", false)
	read.want(t, "c", false)
}

// backend is the process at the other end of the connection that is shared.
func (s *station) backend(t *testing.T) (pid int) {
	t.Helper()
	err := s.replica.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity
		WHERE application_name = 'leeway-shared' AND datname = current_database()
		ORDER BY backend_start DESC LIMIT 1`).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
