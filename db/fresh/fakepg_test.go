package fresh_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"example.com/leeway/db/fresh"
)

// A fakePG speaks as much of the protocol as a Router asks of a server: it
// answers the monitor as a primary or a standby, and fails where it is told to
// with what a real server cannot be made to send.
type fakePG struct {
	listener net.Listener
	standby  bool

	mu    sync.Mutex
	fault func(what string) *fault // what: "connect", or the SQL
	count map[string]int           // by the first word of the SQL; and "connect"
}

// A fault is what happens instead of an answer, or before one.
type fault struct {
	severity, code string // an ErrorResponse, or with severity WARNING a notice and then the answer
	cut, reset     bool   // the connection ends, after the above
}

func newFakePG(tb testing.TB, standby bool) *fakePG {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &fakePG{listener: listener, standby: standby, count: map[string]int{}}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go f.serve(conn)
		}
	}()
	return f
}

func (f *fakePG) node(name string) fresh.NodeConfig {
	dsn := func(user string) string {
		return "postgres://" + user + "@" + f.listener.Addr().String() + "/fake?sslmode=disable"
	}
	return fresh.NodeConfig{Name: name, WriteDSN: dsn("writer"), ReadDSN: dsn("reader")}
}

// failing sets the fault and starts to count anew.
func (f *fakePG) failing(fault func(what string) *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.count = fault, map[string]int{}
}

func (f *fakePG) counted(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[what]
}

// met counts what was asked by others than the monitor, and tells what to do.
func (f *fakePG) met(app, what string) *fault {
	if app == "leeway-monitor" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	word, _, _ := strings.Cut(strings.TrimSuffix(what, ";"), " ")
	f.count[strings.TrimSuffix(word, ";")]++
	if f.fault == nil {
		return nil
	}
	return f.fault(what)
}

func (f *fakePG) serve(conn net.Conn) {
	defer conn.Close()
	b := pgproto3.NewBackend(conn, conn)
	first, err := b.ReceiveStartupMessage()
	startup, ok := first.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	s := &fakeSession{f: f, Backend: b, conn: conn, app: startup.Parameters["application_name"], tx: 'I', statements: map[string]string{}}
	if s.fails("connect") {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	standby := map[bool]string{true: "on", false: "off"}[f.standby]
	for name, value := range map[string]string{"in_hot_standby": standby, "server_version": "15.18", "client_encoding": "UTF8", "standard_conforming_strings": "on"} {
		b.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		message, err := b.Receive()
		if err != nil || s.handle(message) {
			return
		}
	}
}

type fakeSession struct {
	*pgproto3.Backend
	f          *fakePG
	conn       net.Conn
	app        string
	tx         byte
	statements map[string]string // by name
	bound      string
	formats    []int16
	skip       bool // after an error, up to the next Sync
}

// fails reports whether the connection has ended.
func (s *fakeSession) fails(what string) (ended bool) {
	fault := s.f.met(s.app, what)
	if fault == nil {
		return false
	}
	switch fault.severity {
	case "":
	case "WARNING":
		s.Send(&pgproto3.NoticeResponse{Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: fault.code, Message: "hunter2"})
	default:
		s.Send(&pgproto3.ErrorResponse{Severity: fault.severity, SeverityUnlocalized: fault.severity, Code: fault.code, Message: "hunter2"})
		s.skip = true
	}
	_ = s.Flush()
	if fault.reset {
		_ = s.conn.(*net.TCPConn).SetLinger(0)
	}
	return fault.cut || fault.reset || fault.severity == "FATAL" || what == "connect" && fault.severity != ""
}

func (s *fakeSession) handle(message pgproto3.FrontendMessage) (ended bool) {
	switch m := message.(type) {
	case *pgproto3.Query:
		s.skip = false
		if s.fails(m.String) {
			return true
		}
		if !s.skip {
			s.simple(m.String)
		} else if s.tx == 'T' {
			s.tx = 'E'
			if strings.HasPrefix(m.String, "COMMIT") {
				s.tx = 'I'
			}
		}
		s.Send(&pgproto3.ReadyForQuery{TxStatus: s.tx})
	case *pgproto3.Sync:
		s.skip = false
		s.Send(&pgproto3.ReadyForQuery{TxStatus: s.tx})
	case *pgproto3.Terminate:
		return true
	default:
		return !s.skip && s.extended(message)
	}
	return false
}

func (s *fakeSession) simple(sql string) {
	switch word, _, _ := strings.Cut(sql, " "); strings.TrimSuffix(word, ";") {
	case "BEGIN":
		s.tx = 'T'
		s.Send(&pgproto3.CommandComplete{CommandTag: []byte("BEGIN")})
	case "COMMIT":
		s.tx = 'I'
		s.Send(&pgproto3.CommandComplete{CommandTag: []byte("COMMIT")})
		if strings.Contains(sql, "flush") {
			s.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{field("lsn", 25), field("file", 25)}})
			s.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("0/1000"), []byte("000000010000000000000000")}})
			s.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
	case "ROLLBACK":
		s.tx = 'I'
		s.Send(&pgproto3.CommandComplete{CommandTag: []byte("ROLLBACK")})
	case "":
		s.Send(&pgproto3.EmptyQueryResponse{})
	default:
		s.Send(&pgproto3.CommandComplete{CommandTag: []byte("DO")})
	}
}

func (s *fakeSession) extended(message pgproto3.FrontendMessage) (ended bool) {
	switch m := message.(type) {
	case *pgproto3.Parse:
		s.statements[m.Name] = m.Query
		s.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		sql := s.bound
		if m.ObjectType == 'S' {
			sql = s.statements[m.Name]
			s.Send(&pgproto3.ParameterDescription{})
		}
		columns, _ := s.f.answer(sql)
		row := &pgproto3.RowDescription{}
		for i, oid := range columns {
			row.Fields = append(row.Fields, field("c"+strconv.Itoa(i), oid))
			if m.ObjectType == 'P' && len(s.formats) > 0 {
				row.Fields[i].Format = s.formats[i%len(s.formats)]
			}
		}
		s.Send(row)
	case *pgproto3.Bind:
		s.bound, s.formats = s.statements[m.PreparedStatement], append([]int16(nil), m.ResultFormatCodes...)
		s.Send(&pgproto3.BindComplete{})
	case *pgproto3.Execute:
		if s.fails(s.bound) {
			return true
		}
		if s.skip {
			return false
		}
		columns, values := s.f.answer(s.bound)
		row := &pgproto3.DataRow{}
		for i, v := range values {
			row.Values = append(row.Values, encode(columns[i], v, s.formats[i%len(s.formats)] == 1))
		}
		s.Send(row)
		s.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	case *pgproto3.Close:
		s.Send(&pgproto3.CloseComplete{})
	}
	return false
}

func field(name string, oid uint32) pgproto3.FieldDescription {
	return pgproto3.FieldDescription{Name: []byte(name), DataTypeOID: oid, DataTypeSize: -1, TypeModifier: -1}
}

// answer gives the types and the values of a statement: position 0/1000 of
// timeline 1 wherever one is asked for.
func (f *fakePG) answer(sql string) (oids []uint32, values []int64) {
	switch {
	case strings.Contains(sql, "system_identifier"): // the monitor's
		standby := int64(0)
		if f.standby {
			standby = 1
		}
		return []uint32{16, 20, 23, 23, 20, 20}, []int64{standby, 0x1000, 1, standby, 5, 7}
	case strings.Contains(sql, "pg_stat_replication"): // asynchronous, and no standby
		return []uint32{25, 25, 25, 25, 20}, []int64{1, 1, 1, 1, 0}
	case strings.Contains(sql, "received_tli"): // a guard
		return []uint32{20, 23, 20}, []int64{0x1000, 1, 5}
	case strings.Contains(sql, "_lsn()"): // a stamp
		return []uint32{20, 23}, []int64{0x1000, 1}
	case strings.Contains(sql, "synchronous_commit"):
		return []uint32{25}, []int64{0}
	}
	return []uint32{23}, []int64{1}
}

func encode(oid uint32, v int64, asBinary bool) []byte {
	switch {
	case oid == 25:
		return []byte([]string{"on", ""}[v])
	case !asBinary && oid == 16:
		return []byte(map[int64]string{0: "f", 1: "t"}[v])
	case !asBinary:
		return fmt.Append(nil, v)
	case oid == 16:
		return []byte{byte(v)}
	case oid == 23:
		return binary.BigEndian.AppendUint32(nil, uint32(v))
	}
	return binary.BigEndian.AppendUint64(nil, uint64(v))
}
