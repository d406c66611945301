package fresh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Trips carry the short reads of many callers over few connections to a node. While one of
// them is free, a read has it for itself and goes at once. When all are out, reads wait,
// and the next one that is back takes along all that wait: one message there, one back.
// So the more is asked for, the less a read costs: what is saved are the system calls and
// the wake-ups on both sides.
//
// Each read keeps its own statement, with a snapshot of its own, its own floor, answer and
// error. The guard is sent once, before all of them. It returns a position, which holds
// for each statement behind it as it does for one (point 2 of doc.go), and each read is
// held against its own floor. The stamp is sent once, behind them. A read that gets no
// answer, because one before it failed or all took too long, goes again by itself.
//
// What shares a trip waits for what goes before it: hence only the reads of a policy that
// says so, on connections that no other read uses.
type trips struct {
	pool  *pgxpool.Pool
	width int // its connections
	limit time.Duration
	known sync.Map // by SQL, the *pgconn.StatementDescription with which a read packs

	mu    sync.Mutex
	out   int      // connections under way
	queue []*lease // first come, first served

	made, carried, skipped atomic.Int64 // trips, reads in them, and those that had to go again
}

const (
	// mostOnATrip bounds how long a read waits for those before it.
	mostOnATrip = 16
	// tripTimeout ends a trip, which takes a millisecond or two, and sends each of its reads
	// again by itself. It is longer than a role's statement_timeout should be: that ends the
	// slow read alone. A node that hangs is left before, when the monitor cuts its sockets.
	tripTimeout = 5 * time.Second
)

var (
	// errSkipped: the read has no answer for what another has done. It goes again by itself,
	// on the same node.
	errSkipped = errors.New("fresh: a read that shared a connection has no answer")
	// errLostTogether: the connection broke in the middle.
	errLostTogether = fmt.Errorf("fresh: a shared connection was lost: %w", io.ErrUnexpectedEOF)
)

// A passenger is a read that waits. It carries its parameters ready to be sent: its caller
// may leave, and do with the arguments what it likes.
type passenger struct {
	params    *pgx.ExtendedQueryBuilder
	packedFor []uint32   // the types of the parameters
	told      chan error // of one: a trip never waits for who has left
}

// carry runs the read, alone or with others.
func (t *trips) carry(ctx context.Context, l *lease) error {
	if t.depart(nil) {
		return t.goAlone(ctx, l)
	}
	description, known := t.known.Load(l.demand.task.SQL)
	if !known { // nobody has sent it here before
		return l.run(ctx, l.node.read, 0)
	}
	seat := *l // who leaves must not find it written to
	if err := seat.pack(description.(*pgconn.StatementDescription)); err != nil {
		return err
	}
	if t.depart(&seat) {
		return t.goAlone(ctx, l)
	}
	select {
	case err := <-seat.told:
		if seat.conn != nil {
			l.demand.tries++
		}
		l.result, l.proven, l.stamp = seat.result, seat.proven, seat.stamp
		if errors.Is(err, errSkipped) {
			t.skipped.Add(1)
			err = l.run(ctx, l.node.read, 0)
		}
		return err
	case <-ctx.Done():
		t.leave(&seat)
		return ctx.Err()
	}
}

// pack encodes the arguments.
func (l *lease) pack(description *pgconn.StatementDescription) error {
	types := typeMaps.Get().(*pgtype.Map)
	defer typeMaps.Put(types)
	l.passenger = passenger{new(pgx.ExtendedQueryBuilder), description.ParamOIDs, make(chan error, 1)}
	return l.params.Build(types, description, l.demand.task.args)
}

// depart reports whether a connection is free, and takes it; else the seat, if there is
// one, is queued.
func (t *trips) depart(seat *lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out < t.width {
		t.out++
		return true
	}
	if seat != nil {
		t.queue = append(t.queue, seat)
	}
	return false
}

func (t *trips) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

func (t *trips) leave(seat *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = slices.DeleteFunc(t.queue, func(other *lease) bool { return other == seat })
}

// goAlone runs one read, and leaves its connection to those that have come meanwhile.
func (t *trips) goAlone(ctx context.Context, l *lease) error {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.queue) > 0 {
			go t.shuttle()
		} else {
			t.out--
		}
	}()
	return l.run(ctx, t.pool, 0)
}

// shuttle makes one trip after the other until nobody waits.
func (t *trips) shuttle() {
	var seats [mostOnATrip]*lease
	for {
		aboard := t.board(seats[:])
		if len(aboard) == 0 {
			return
		}
		t.travel(aboard)
	}
}

// board takes the first of the queue; nobody there ends the shuttle.
func (t *trips) board(seats []*lease) []*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := copy(seats, t.queue)
	t.queue = slices.Delete(t.queue, 0, n)
	if n == 0 {
		t.out--
	}
	return seats[:n]
}

// travel carries the reads there and back, and tells each what came of it.
func (t *trips) travel(aboard []*lease) {
	ctx, cancel := context.WithTimeout(context.Background(), t.limit)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		t.dismiss(aboard, err)
		return
	}
	t.made.Add(1)
	t.carried.Add(int64(len(aboard)))
	t.ask(ctx, conn, aboard)
	conn.Release() // first: who is told goes on at once
	for _, l := range aboard {
		l.told <- l.err
	}
}

// ask sends the reads and reads their answers. A panic would end the program: whoever causes
// it meets it again alone, on its own request, where it is reported.
func (t *trips) ask(ctx context.Context, conn *pgxpool.Conn, aboard []*lease) {
	defer func() {
		if v := recover(); v != nil {
			aboard[0].router.config.Log.Error("a panic on a shared connection; its reads go again by themselves",
				"of", fmt.Sprintf("%T", v), "stack", string(debug.Stack())) // its text may be a client's
			closeQuietly(conn.Conn()) // the pool drops it on release
			for _, l := range aboard {
				l.result, l.err = nil, errSkipped
			}
		}
	}()
	w := wire{router: aboard[0].router, node: aboard[0].node}
	w.hold(conn)
	var todo steps
	for _, l := range aboard {
		needs := w.needs(l)
		todo.guard, todo.stamp = todo.guard || needs.guard, todo.stamp || needs.stamp
		l.wire, l.proven = w, w.state.pos
	}
	w.sendAll(ctx, todo, aboard)
	replanned, demoted := false, w.checkRole(ctx, todo.stamp)
	for _, l := range aboard {
		switch {
		case planChanged(l.err):
			replanned, l.err = true, errSkipped
		case l.err != nil && ctx.Err() != nil:
			l.err = errSkipped // which of them was slow is not known: answers come in blocks
		case l.err == nil && l.demand.stamp:
			l.err = demoted
		}
	}
	if replanned && w.forgetStatements(ctx) != nil {
		closeQuietly(w.conn)
	}
}

// dismiss sends away those aboard and all that wait: there is no connection to be had.
func (t *trips) dismiss(aboard []*lease, err error) {
	if errors.Is(err, context.DeadlineExceeded) { // of the trip, and not of those aboard
		err = errLostTogether
	}
	t.mu.Lock()
	waiting := t.queue
	t.queue = nil
	t.mu.Unlock()
	for _, l := range slices.Concat(aboard, waiting) {
		l.told <- err
	}
}
