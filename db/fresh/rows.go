package fresh

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// result is an answer read to its end and copied off its connection. Only a
// whole result leaves the package: a read that breaks in the middle can then
// be repeated on another node without the caller noticing.
type result struct {
	fields []pgconn.FieldDescription
	data   []byte // the values of all rows, one after the other
	ends   []int  // where each value ends in data; nullValue marks NULL
	tag    pgconn.CommandTag
}

const nullValue = -1

// readAll drains an answer to the statement.
func (s *statement) readAll(answer *pgconn.ResultReader) (*result, error) {
	res := &result{fields: s.fields, data: make([]byte, 0, s.bytes), ends: make([]int, 0, s.values)}
	for answer.NextRow() {
		for _, value := range answer.Values() {
			if value == nil {
				res.ends = append(res.ends, nullValue)
				continue
			}
			res.data = append(res.data, value...)
			res.ends = append(res.ends, len(res.data))
		}
	}
	var err error
	res.tag, err = answer.Close()
	s.bytes, s.values = len(res.data), len(res.ends)
	return res, err
}

// typeMaps holds decoders. They remember plans for the types they have met,
// and are not safe for concurrent use, so each reader borrows one.
var typeMaps = sync.Pool{New: func() any { return pgtype.NewMap() }}

// rows implements pgx.Rows over a result.
type rows struct {
	*result
	next   int // the index of the next row
	start  int // where the next row begins in data
	values [][]byte
	begins []int  // where they do in data
	text   string // data, for strings to be cut out of
	types  *pgtype.Map
	plans  []scanPlan // one for each column, made for the first row
	err    error
	closed bool
}

// scanPlan is how a column is decoded into destinations of one type.
type scanPlan struct {
	pgtype.ScanPlan
	into reflect.Type
}

func newRows(res *result) *rows {
	n := len(res.fields)
	return &rows{result: res, types: typeMaps.Get().(*pgtype.Map), values: make([][]byte, n), begins: make([]int, n)}
}

// failedRows: pgx promises rows that can be used beside an error, too.
func failedRows(err error) pgx.Rows { return &rows{result: &result{}, err: err, closed: true} }

func (r *rows) Close() {
	if !r.closed {
		r.closed = true
		typeMaps.Put(r.types)
		r.types = nil
	}
}

func (r *rows) Next() bool {
	n := len(r.fields)
	if r.closed || n == 0 || (r.next+1)*n > len(r.ends) {
		r.Close()
		return false
	}
	for i, end := range r.ends[r.next*n : (r.next+1)*n] {
		if end == nullValue {
			r.values[i] = nil
			continue
		}
		r.values[i], r.begins[i] = r.data[r.start:end:end], r.start
		r.start = end
	}
	r.next++
	return true
}

func (r *rows) Scan(dest ...any) error {
	if r.closed || r.next == 0 {
		return errors.New("fresh: Scan needs a row")
	}
	if len(dest) != len(r.fields) {
		return r.fail(fmt.Errorf("fresh: %d columns do not fit %d destinations", len(r.fields), len(dest)))
	}
	if r.plans == nil {
		r.plans = make([]scanPlan, len(dest))
	}
	for i, d := range dest {
		if d == nil || r.cut(i, d) {
			continue
		}
		if into := reflect.TypeOf(d); into != r.plans[i].into {
			r.plans[i] = scanPlan{r.types.PlanScan(r.fields[i].DataTypeOID, r.fields[i].Format, d), into}
		}
		if err := r.plans[i].Scan(r.values[i], d); err != nil {
			return r.fail(pgx.ScanArgError{ColumnIndex: i, FieldName: r.fields[i].Name, Err: err})
		}
	}
	return nil
}

// cut gives a string its part of one copy of all values, which a list would otherwise copy
// four times for each row.
func (r *rows) cut(i int, into any) bool {
	s, ok := into.(*string)
	if oid := r.fields[i].DataTypeOID; !ok || oid != pgtype.TextOID && oid != pgtype.VarcharOID || r.values[i] == nil {
		return false
	}
	if r.text == "" {
		r.text = string(r.data)
	}
	*s = r.text[r.begins[i] : r.begins[i]+len(r.values[i])]
	return true
}

func (r *rows) fail(err error) error {
	r.err = err
	r.Close()
	return err
}

func (r *rows) Values() ([]any, error) {
	if r.closed || r.next == 0 {
		return nil, errors.New("fresh: Values needs a row")
	}
	values := make([]any, len(r.fields))
	for i, field := range r.fields {
		if err := r.types.Scan(field.DataTypeOID, field.Format, r.values[i], &values[i]); err != nil {
			return nil, r.fail(err)
		}
	}
	return values, nil
}

func (r *rows) Err() error                                   { return r.err }
func (r *rows) CommandTag() pgconn.CommandTag                { return r.tag }
func (r *rows) FieldDescriptions() []pgconn.FieldDescription { return r.fields }
func (r *rows) RawValues() [][]byte                          { return r.values }
func (r *rows) TypeMap() *pgtype.Map                         { return r.types }

// Conn returns nil: the connection went back to its pool before the first row
// was seen.
func (r *rows) Conn() *pgx.Conn { return nil }

// row implements pgx.Row.
type row struct {
	res *result
	err error
}

func (r row) Scan(dest ...any) error {
	switch {
	case r.err != nil:
		return r.err
	case len(r.res.ends) == 0:
		return pgx.ErrNoRows
	case len(dest) != len(r.res.fields):
		return fmt.Errorf("fresh: %d columns do not fit %d destinations", len(r.res.fields), len(dest))
	}
	types := typeMaps.Get().(*pgtype.Map)
	defer typeMaps.Put(types)
	start := 0
	for i, end := range r.res.ends[:len(dest)] {
		var value []byte
		if end != nullValue {
			value, start = r.res.data[start:end:end], end
		}
		field := &r.res.fields[i]
		if err := types.Scan(field.DataTypeOID, field.Format, value, dest[i]); err != nil {
			return pgx.ScanArgError{ColumnIndex: i, FieldName: field.Name, Err: err}
		}
	}
	return nil
}
