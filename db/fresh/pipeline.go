package fresh

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// steps says what a message holds beside the statements of reads, before and after
// them; one round trip carries all.
type steps struct{ guard, stamp bool }

// query runs the statement of one read with the guard and the stamp that it needs.
// errBehind means that the answer was thrown away unseen.
func (l *lease) query(ctx context.Context) error {
	err := l.send(ctx, l.needs(l), l)
	if planChanged(err) {
		// DDL came between, or a pooler. Nothing has run.
		if err = l.forgetStatements(ctx); err == nil {
			err = l.send(ctx, l.needs(l), l)
		}
	}
	return err
}

// send carries one read.
func (w *wire) send(ctx context.Context, todo steps, l *lease) error {
	if !todo.guard && !todo.stamp {
		return w.sendAlone(ctx, l)
	}
	one := [1]*lease{l}
	w.sendAll(ctx, todo, one[:])
	return l.err
}

// sendAlone is the common case: the connection has proven itself lately, and
// the query costs what it costs without this package.
func (w *wire) sendAlone(ctx context.Context, l *lease) error {
	s, params, err := w.encode(ctx, l)
	if err != nil {
		return err
	}
	l.result, err = s.readAll(w.conn.PgConn().ExecStatement(ctx, s.description, params.ParamValues, params.ParamFormats, s.formats))
	return err
}

// sendAll carries reads to the server and back in one message, and leaves with each what
// came of it. It uses the driver's pipeline underneath pgx.Batch: the guard and the stamp
// ride along with every session read, and cost a third of the allocations here.
func (w *wire) sendAll(ctx context.Context, todo steps, reads []*lease) {
	var batch pgconn.Batch
	if !w.load(ctx, &batch, todo, reads) {
		return
	}
	answers := w.conn.PgConn().ExecBatch(ctx, &batch)
	err := w.receive(answers, todo, reads)
	if closeErr := answers.Close(); err == nil {
		_ = failAll(reads, closeErr)
	}
}

// load fills the message. It reports whether there is anything to send.
func (w *wire) load(ctx context.Context, batch *pgconn.Batch, todo steps, reads []*lease) (some bool) {
	var err error
	if todo.guard {
		err = w.add(ctx, batch, guardSQL)
	}
	for _, l := range reads {
		l.statement, l.err = nil, err
		if err == nil && l.demand.task.fn == nil {
			l.err = w.addRead(ctx, batch, l)
		}
		some = some || l.err == nil
	}
	if some && todo.stamp {
		err = w.add(ctx, batch, w.stampSQL())
	}
	return failAll(reads, err) == nil && some
}

func (w *wire) add(ctx context.Context, batch *pgconn.Batch, sql string) error {
	s, err := w.prepare(ctx, sql)
	if err != nil {
		return err
	}
	batch.ExecStatement(s.description, nil, nil, s.formats)
	return nil
}

func (w *wire) addRead(ctx context.Context, batch *pgconn.Batch, l *lease) error {
	s, params, err := w.encode(ctx, l)
	if err == nil {
		l.statement = s
		batch.ExecStatement(s.description, params.ParamValues, params.ParamFormats, s.formats)
	}
	return err
}

// encode prepares a read's statement and its parameters. The latter are those that it has
// packed as a passenger, or else the connection's, to be sent or copied into a batch before
// the next call.
func (w *wire) encode(ctx context.Context, l *lease) (*statement, *pgx.ExtendedQueryBuilder, error) {
	s, err := w.prepare(ctx, l.demand.task.SQL)
	switch {
	case err != nil:
		return nil, nil, err
	case l.params == nil:
		params := &w.state.builder
		return s, params, params.Build(w.conn.TypeMap(), s.description, l.demand.task.args)
	case !slices.Equal(l.packedFor, s.description.ParamOIDs):
		return nil, nil, errSkipped // the schema has changed since
	}
	return s, l.params, nil
}

// statement is a prepared statement of one connection. Its fields are shared by
// all results and never changed.
type statement struct {
	description *pgconn.StatementDescription
	formats     []int16
	fields      []pgconn.FieldDescription

	// What its last answer took: the next one mostly takes as much.
	bytes, values int
}

func (w *wire) prepare(ctx context.Context, sql string) (*statement, error) {
	if s, ok := w.state.statements[sql]; ok {
		return s, nil
	}
	description, err := w.conn.Prepare(ctx, sql, sql)
	if err != nil {
		return nil, err
	}
	s := &statement{description: description, fields: slices.Clone(description.Fields)}
	for i := range s.fields {
		s.fields[i].Format = w.conn.TypeMap().FormatCodeForOID(s.fields[i].DataTypeOID)
		s.formats = append(s.formats, s.fields[i].Format)
	}
	if w.state.statements == nil {
		w.state.statements = map[string]*statement{}
	}
	w.state.statements[sql] = s
	w.node.trips.known.Store(sql, description)
	return s, nil
}

// planChanged reports an error that only says that a prepared statement is not
// what it was.
func planChanged(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && ruleOf(pgErr.Code).replica&verdicts == replan
}

func (w *wire) forgetStatements(ctx context.Context) error {
	w.state.statements = nil
	return w.conn.DeallocateAll(ctx)
}

// receive reads the answers in the order of the message, and returns the error that ended
// it: the server skips whatever is behind a statement that failed (manual, section 55.2.3).
func (w *wire) receive(answers *pgconn.MultiResultReader, todo steps, reads []*lease) (err error) {
	if todo.guard {
		var proven Position
		if proven, err = w.receivePosition(answers); err != nil {
			return failAll(reads, err)
		}
		for _, l := range reads {
			l.proven = proven
		}
	}
	for _, l := range reads {
		switch {
		case l.err != nil: // not sent
			continue
		case err != nil:
			l.err = w.skipped()
			continue
		case l.statement != nil:
			l.result, err = l.statement.receive(answers)
			l.err = err
		}
		if l.err == nil && !l.proven.Reached(l.floor) {
			l.result, l.err = nil, errBehind
		}
	}
	if todo.stamp {
		err = w.receiveStamp(answers, reads, err)
	}
	return err
}

// receiveStamp reads the stamp, unless an error came before it. What is not stamped is as
// good as not read to those who want to know how far they saw.
func (w *wire) receiveStamp(answers *pgconn.MultiResultReader, reads []*lease, err error) error {
	unstamped := w.skipped()
	var stamp Position
	if err == nil {
		stamp, err = w.receivePosition(answers)
		unstamped = err
	}
	for _, l := range reads {
		if l.stamp = stamp; l.demand.stamp {
			l.err = cmp.Or(l.err, unstamped)
		}
	}
	return err
}

func failAll(reads []*lease, err error) error {
	for _, l := range reads {
		l.err = cmp.Or(l.err, err)
	}
	return err
}

// skipped is the error of a read that the server has not come to, for the error of another.
func (w *wire) skipped() error {
	if w.conn.IsClosed() {
		return errLostTogether
	}
	return errSkipped
}

// receive reads the answer to the statement.
func (s *statement) receive(answers *pgconn.MultiResultReader) (*result, error) {
	if !answers.NextResult() {
		return nil, noAnswer(answers)
	}
	return s.readAll(answers.ResultReader())
}

// noAnswer returns why a step has none: its own error, or that of one before.
func noAnswer(answers *pgconn.MultiResultReader) error {
	return cmp.Or(answers.Close(), errors.New("fresh: a statement was not answered"))
}

// receivePosition takes in the answer to a guard or a stamp. Both tell an LSN; a stamp the
// timeline, which is 0 where the connection knows it already; and a guard what its timeline
// is judged by.
func (w *wire) receivePosition(answers *pgconn.MultiResultReader) (pos Position, err error) {
	if !answers.NextResult() {
		return pos, noAnswer(answers)
	}
	row := answers.ResultReader()
	if !row.NextRow() || len(row.Values()) < 2 || len(row.Values()[1]) != 4 {
		_, err = row.Close()
		return pos, errors.Join(errors.New("fresh: a position has an unexpected form"), err)
	}
	values := row.Values()
	timeline, known := binary.BigEndian.Uint32(values[1]), true
	if len(values) == 3 && len(values[2]) == 8 {
		timeline = w.node.timelineOf(int64(binary.BigEndian.Uint64(values[2])), timeline)
		known = timeline > 0
	}
	if known && len(values[0]) == 8 { // else NULL: nothing replayed, or never in recovery
		pos = w.seen(LSN(binary.BigEndian.Uint64(values[0])), timeline)
	}
	_, err = row.Close()
	return pos, err
}
