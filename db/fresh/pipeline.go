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

// steps says what a pipeline holds, in this order; one round trip carries all.
type steps struct{ guard, query, stamp bool }

// query runs one statement with the guard and the stamp that it needs. errBehind
// means that the answer was thrown away unseen.
func (l *lease) query(ctx context.Context, sql string, args []any) (*result, error) {
	todo := steps{guard: !l.guarded() || l.needsTimeline(), query: true, stamp: l.demand.stamp}
	res, err := l.send(ctx, todo, sql, args)
	if planChanged(err) {
		// DDL came between, or a pooler. Nothing has run.
		if err = l.forgetStatements(ctx); err == nil {
			res, err = l.send(ctx, todo, sql, args)
		}
	}
	return res, err
}

// send uses the driver's pipeline underneath pgx.Batch: the guard and the stamp
// ride along with every session read, and cost a third of the allocations here.
func (l *lease) send(ctx context.Context, todo steps, sql string, args []any) (*result, error) {
	if !todo.guard && !todo.stamp {
		return l.sendAlone(ctx, sql, args)
	}
	var batch pgconn.Batch
	var err error
	if todo.guard {
		err = l.add(ctx, &batch, guardSQL, nil)
	}
	if todo.query && err == nil {
		err = l.add(ctx, &batch, sql, args)
	}
	if todo.stamp && err == nil {
		err = l.add(ctx, &batch, l.stampSQL(), nil)
	}
	if err != nil {
		return nil, err
	}
	answers := l.conn.PgConn().ExecBatch(ctx, &batch)
	res, err := l.receive(answers, todo, l.state.statements[sql])
	if closeErr := answers.Close(); err == nil {
		err = closeErr
	}
	return res, err
}

// sendAlone is the common case: the connection has proven itself lately, and
// the query costs what it costs without this package.
func (l *lease) sendAlone(ctx context.Context, sql string, args []any) (*result, error) {
	s, params, err := l.encode(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	return s.readAll(l.conn.PgConn().ExecStatement(ctx, s.description, params.ParamValues, params.ParamFormats, s.formats))
}

func (l *lease) add(ctx context.Context, batch *pgconn.Batch, sql string, args []any) error {
	s, params, err := l.encode(ctx, sql, args)
	if err != nil {
		return err
	}
	batch.ExecStatement(s.description, params.ParamValues, params.ParamFormats, s.formats)
	return nil
}

// encode prepares a statement and its parameters. The latter are the
// connection's, to be sent or copied into a batch before the next call.
func (l *lease) encode(ctx context.Context, sql string, args []any) (*statement, *pgx.ExtendedQueryBuilder, error) {
	s, err := l.prepare(ctx, sql)
	if err != nil {
		return nil, nil, err
	}
	params := &l.state.builder
	return s, params, params.Build(l.conn.TypeMap(), s.description, args)
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

func (l *lease) prepare(ctx context.Context, sql string) (*statement, error) {
	if s, ok := l.state.statements[sql]; ok {
		return s, nil
	}
	description, err := l.conn.Prepare(ctx, sql, sql)
	if err != nil {
		return nil, err
	}
	s := &statement{description: description, fields: slices.Clone(description.Fields)}
	for i := range s.fields {
		s.fields[i].Format = l.conn.TypeMap().FormatCodeForOID(s.fields[i].DataTypeOID)
		s.formats = append(s.formats, s.fields[i].Format)
	}
	if l.state.statements == nil {
		l.state.statements = map[string]*statement{}
	}
	l.state.statements[sql] = s
	return s, nil
}

// planChanged reports an error that only says that a prepared statement is not
// what it was.
func planChanged(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && ruleOf(pgErr.Code).replica&verdicts == replan
}

func (l *lease) forgetStatements(ctx context.Context) error {
	l.state.statements = nil
	return l.conn.DeallocateAll(ctx)
}

// receive reads the answers in the order of the steps.
func (l *lease) receive(answers *pgconn.MultiResultReader, todo steps, s *statement) (res *result, err error) {
	if todo.guard {
		if l.proven, err = l.receivePosition(answers); err != nil {
			return nil, err
		}
		if !l.proven.Reached(l.floor) {
			return nil, errBehind
		}
	}
	if todo.query {
		if !answers.NextResult() {
			return nil, noAnswer(answers)
		}
		if res, err = s.readAll(answers.ResultReader()); err != nil {
			return nil, err
		}
	}
	if todo.stamp {
		l.stamp, err = l.receivePosition(answers)
	}
	return res, err
}

// noAnswer returns why a step has none: its own error, or that of one before.
func noAnswer(answers *pgconn.MultiResultReader) error {
	return cmp.Or(answers.Close(), errors.New("fresh: a statement was not answered"))
}

// receivePosition takes in the answer to a guard or a stamp: an LSN and a
// timeline, which is 0 where the connection knows it already.
func (l *lease) receivePosition(answers *pgconn.MultiResultReader) (pos Position, err error) {
	if !answers.NextResult() {
		return pos, noAnswer(answers)
	}
	row := answers.ResultReader()
	if !row.NextRow() || len(row.Values()) != 2 || len(row.Values()[1]) != 4 {
		_, err = row.Close()
		return pos, errors.Join(errors.New("fresh: a position has an unexpected form"), err)
	}
	lsn, timeline := row.Values()[0], binary.BigEndian.Uint32(row.Values()[1])
	if len(lsn) == 8 { // else NULL: nothing replayed, or never in recovery
		pos = l.seen(LSN(binary.BigEndian.Uint64(lsn)), timeline)
	}
	_, err = row.Close()
	return pos, err
}
