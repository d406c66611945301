package faults_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"example.com/leeway/internal/faults"
)

const (
	prefix = "COMMIT; SELECT"
	commit = prefix + " 1"
)

// fakeServer speaks as much PostgreSQL as a client needs to begin and commit.
type fakeServer struct {
	addr    string
	mu      sync.Mutex
	queries []string
	answers chan error   // of flushing the answer to a COMMIT
	before  func(string) // runs before a query is answered
}

func newFakeServer(t *testing.T) *fakeServer {
	s := &fakeServer{answers: make(chan error, 100)}
	s.addr = listen(t, s.serve)
	return s
}

func (s *fakeServer) serve(conn *net.TCPConn) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	if msg, err := backend.ReceiveStartupMessage(); err != nil {
		return
	} else if _, ok := msg.(*pgproto3.StartupMessage); !ok {
		return // a CancelRequest is answered by closing
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	s.ready(backend)
	for {
		msg, err := backend.Receive()
		if err != nil {
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.Query:
			s.answer(backend, msg.String)
		case *pgproto3.Sync:
			_ = s.ready(backend)
		}
	}
}

func (s *fakeServer) ready(backend *pgproto3.Backend) error {
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return backend.Flush()
}

func (s *fakeServer) answer(backend *pgproto3.Backend, sql string) {
	s.mu.Lock()
	s.queries = append(s.queries, sql)
	s.mu.Unlock()
	if s.before != nil {
		s.before(sql)
	}
	tag, _, _ := strings.Cut(sql, ";")
	backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
	err := s.ready(backend)
	if strings.HasPrefix(sql, "COMMIT") {
		s.answers <- err
	}
}

func (s *fakeServer) saw(sql string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.queries, sql)
}

func newPGLink(t *testing.T, target string) *faults.PGLink {
	t.Helper()
	link, err := faults.NewPGLink(target, seed, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, link.Link) })
	return link
}

func connect(t *testing.T, link *faults.PGLink, sslmode string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), "postgres://u@"+link.Addr()+"/d?sslmode="+sslmode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(conn *pgconn.PgConn, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

func TestOnlyTheCommitsOfWritesCount(t *testing.T) {
	link := newPGLink(t, newFakeServer(t).addr)
	for _, sslmode := range []string{"disable", "prefer"} {
		conn := connect(t, link, sslmode)
		for _, sql := range []string{"BEGIN", "COMMIT", "BEGIN", commit, "SELECT 'COMMIT; SELECT'", "", "COMMIT; SELEC"} {
			if err := exec(conn, sql); err != nil {
				t.Fatal(sql, err)
			}
		}
	}
	// The driver asks for encryption on a connection of its own.
	if c := link.Counts(); c != (faults.Counts{Accepted: 3, Forwarded: 2, Answered: 2, Delivered: 2}) {
		t.Errorf("%+v", c)
	}
}

func TestCutBeforeCommit(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	link.CutBeforeCommit(2)
	for range 2 {
		if err := exec(connect(t, link, "disable"), commit); err == nil {
			t.Error("a COMMIT that was cut was answered")
		}
	}
	if s.saw(commit) {
		t.Error("the server saw the COMMIT")
	}
	if err := exec(connect(t, link, "disable"), commit); err != nil {
		t.Error(err)
	}
	if c := link.Counts(); c.CutBefore != 2 || c.Forwarded != 1 || c.Answered != 1 {
		t.Errorf("%+v", c)
	}
}

// The server must be able to finish, and to send its answer without an error,
// long after the client is gone; Reset and Heal do not end that.
func TestCutAfterCommit(t *testing.T) {
	s := newFakeServer(t)
	finish := make(chan struct{})
	s.before = func(sql string) {
		if sql == commit {
			<-finish
		}
	}
	link := newPGLink(t, s.addr)
	conn := connect(t, link, "disable")
	link.CutAfterCommit(1)
	if err := exec(conn, commit); err == nil || pgconn.Timeout(err) {
		t.Errorf("err = %v, want a lost connection", err)
	}
	if c := link.Counts(); c.CutAfter != 1 || c.Forwarded != 1 || c.Answered != 0 {
		t.Errorf("%+v", c)
	}
	link.Reset()
	heal(t, link.Link)
	close(finish)
	if err := <-s.answers; err != nil {
		t.Errorf("the server could not answer: %v", err)
	}
	eventually(t, link.Link, "the answer is seen", func(c faults.Counts) bool { return c.Answered == 1 })
	// Reset may have cut the connection on which the driver sends its CancelRequest.
	if c := link.Counts(); c.Delivered != 0 {
		t.Errorf("%+v", c)
	}
}

// Also when the server answers before the client could be cut.
func TestCutAfterCommitBeatsTheAnswer(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	for range 200 {
		conn := connect(t, link, "disable")
		link.Plan(faults.Plan{Fault: faults.CutAfter, At: func(stage faults.Stage) {
			if stage == faults.Forwarded {
				<-s.answers
			}
		}})
		if err := exec(conn, commit); err == nil {
			t.Fatal("the answer came through")
		}
	}
	eventually(t, link.Link, "all are answered", func(c faults.Counts) bool { return c.Answered == 200 })
	if c := link.Counts(); c.CutAfter != 200 || c.Delivered != 0 {
		t.Errorf("%+v", c)
	}
}

func TestSwallowCommitAnswer(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	conn := connect(t, link, "disable")
	link.SwallowCommitAnswer(1)
	result := make(chan error, 1)
	go func() { result <- exec(conn, commit) }()
	if err := <-s.answers; err != nil {
		t.Fatal(err)
	}
	eventually(t, link.Link, "the answer is swallowed", func(c faults.Counts) bool { return c.Answered == 1 && c.DroppedBytes > 0 })
	select {
	case err := <-result:
		t.Fatalf("the client was told: %v", err)
	case <-time.After(quiet):
	}
	heal(t, link.Link)
	if err := <-result; err == nil || pgconn.Timeout(err) {
		t.Errorf("err = %v, want a lost connection", err)
	}
	if c := link.Counts(); c.Swallowed != 1 || c.Delivered != 0 {
		t.Errorf("%+v", c)
	}
}

func TestOnCommitStandsAtEachStage(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	conn := connect(t, link, "disable")
	result := make(chan error, 1)
	var stages []faults.Stage
	link.OnCommit(func(stage faults.Stage) {
		stages = append(stages, stage)
		switch stage {
		case faults.Arrived:
			if s.saw(commit) {
				t.Error("forwarded before Arrived returned")
			}
		case faults.Forwarded:
			<-s.answers
			select {
			case err := <-result:
				t.Errorf("answered before Forwarded returned: %v", err)
			case <-time.After(quiet):
			}
		}
	})
	go func() { result <- exec(conn, commit) }()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := exec(conn, commit); err != nil { // waits for the last stage, and is not planned
		t.Error(err)
	}
	if want := []faults.Stage{faults.Arrived, faults.Forwarded, faults.Delivered}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
}

// A fault made in a callback holds from that stage on.
func TestAFaultFromACallback(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	at := func(when faults.Stage, fault func()) func(faults.Stage) {
		return func(stage faults.Stage) {
			if stage == when {
				fault()
			}
		}
	}
	link.OnCommit(at(faults.Arrived, link.Reset))
	if err := exec(connect(t, link, "disable"), commit); err == nil || s.saw(commit) {
		t.Errorf("err = %v, the server saw it: %t", err, s.saw(commit))
	}
	link.OnCommit(at(faults.Arrived, link.BlackHole))
	result := make(chan error, 1)
	conn := connect(t, link, "disable")
	go func() { result <- exec(conn, commit) }()
	eventually(t, link.Link, "the COMMIT is swallowed", func(c faults.Counts) bool { return c.DroppedBytes > 0 })
	heal(t, link.Link)
	if err := <-result; err == nil || s.saw(commit) {
		t.Errorf("err = %v, the server saw it: %t", err, s.saw(commit))
	}
	link.OnCommit(at(faults.Forwarded, link.BlackHole))
	conn = connect(t, link, "disable")
	go func() { result <- exec(conn, commit) }()
	eventually(t, link.Link, "the answer is swallowed", func(c faults.Counts) bool {
		return c.Answered == 1 && c.DroppedBytes > int64(len(commit)+6)
	})
	heal(t, link.Link)
	if err := <-result; err == nil {
		t.Error("the answer came through a black hole")
	}
}

// The app is killed while its COMMIT is under way: the server still gets to answer.
func TestAClientThatDiesDoesNotTakeItsCommitAlong(t *testing.T) {
	for name, linger := range map[string]int{"close": -1, "reset": 0} {
		t.Run(name, func(t *testing.T) { clientDies(t, linger) })
	}
}

func clientDies(t *testing.T, linger int) {
	s := newFakeServer(t)
	finish := make(chan struct{})
	s.before = func(sql string) {
		if sql == commit {
			<-finish
		}
	}
	link := newPGLink(t, s.addr)
	conn := connect(t, link, "disable")
	link.OnCommit(func(stage faults.Stage) {
		if stage == faults.Forwarded {
			_ = conn.Conn().(*net.TCPConn).SetLinger(linger)
			conn.Conn().Close()
		}
	})
	if err := exec(conn, commit); err == nil {
		t.Error("a closed connection answered")
	}
	if linger == 0 {
		eventually(t, link.Link, "the reset is seen", func(c faults.Counts) bool { return c.Reset >= 1 })
	}
	close(finish)
	if err := <-s.answers; err != nil {
		t.Errorf("the server could not answer: %v", err)
	}
	eventually(t, link.Link, "the answer is seen", func(c faults.Counts) bool { return c.Answered == 1 })
}

func TestCancelRequestsAreCounted(t *testing.T) {
	link := newPGLink(t, newFakeServer(t).addr)
	conn := connect(t, link, "disable")
	if err := conn.CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	link.BlackHole() // counted even if it gets nowhere
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	_ = conn.CancelRequest(ctx)
	eventually(t, link.Link, "both are seen", func(c faults.Counts) bool { return c.Cancels == 2 })
	if c := link.Counts(); c.CommitCancels != 0 {
		t.Errorf("no COMMIT was under way: %+v", c)
	}
}

func TestACancelledCommitIsCounted(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	conn := connect(t, link, "disable")
	s.before = func(sql string) {
		if sql == commit {
			_ = conn.CancelRequest(context.Background())
		}
	}
	if err := exec(conn, commit); err != nil {
		t.Fatal(err)
	}
	eventually(t, link.Link, "it is seen", func(c faults.Counts) bool { return c.Cancels == 1 && c.CommitCancels == 1 })
}

func TestGarbageIsCutAndCounted(t *testing.T) {
	link := newPGLink(t, newFakeServer(t).addr)
	conn := dial(t, link.Link)
	send(t, conn, "GET / HTTP/1.1\r\n\r\n")
	eventually(t, link.Link, "it is cut", func(c faults.Counts) bool { return c.Garbled == 1 && c.Reset == 1 })
}

// Whatever the pieces in which a conversation comes, the server gets the same
// bytes, and each COMMIT is found.
func TestDivisionLosesNothing(t *testing.T) {
	chance := rand.New(rand.NewPCG(seed, 1))
	for i := range 50 {
		t.Run(strconv.Itoa(i), func(t *testing.T) { divide(t, chance) })
	}
}

func divide(t *testing.T, chance *rand.Rand) {
	got := make(chan []byte, 1)
	link := newPGLink(t, listen(t, func(conn *net.TCPConn) {
		data, _ := io.ReadAll(conn)
		got <- data
	}))
	talk, commits := conversation(chance)
	conn := dial(t, link.Link)
	for rest := talk; len(rest) > 0; {
		n := min(len(rest), 1+chance.IntN(1<<chance.IntN(16)))
		if _, err := conn.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	_ = conn.CloseWrite()
	if data := <-got; !bytes.Equal(data, talk) {
		t.Fatalf("%d bytes arrived of %d", len(data), len(talk))
	}
	if c := link.Counts(); c.Forwarded != commits {
		t.Fatalf("%d COMMITs were found, want %d", c.Forwarded, commits)
	}
}

// conversation is what a client might say, its last message cut short.
func conversation(chance *rand.Rand) (talk []byte, commits int64) {
	say := func(msg pgproto3.FrontendMessage) {
		var err error
		if talk, err = msg.Encode(talk); err != nil {
			panic(err)
		}
	}
	say(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}})
	for range chance.IntN(40) {
		switch chance.IntN(6) {
		case 0:
			say(&pgproto3.Query{String: commit})
			commits++
		case 1:
			say(&pgproto3.Query{String: prefix[:chance.IntN(len(prefix))]})
		case 2:
			say(&pgproto3.Parse{Query: commit})
		case 3:
			say(&pgproto3.CopyData{Data: make([]byte, chance.IntN(100_000))})
		case 4:
			say(&pgproto3.Sync{})
		case 5:
			say(&pgproto3.Query{String: strings.Repeat("x", chance.IntN(100_000))})
		}
	}
	half, err := (&pgproto3.Query{String: commit}).Encode(nil)
	if err != nil {
		panic(err)
	}
	return append(talk, half[:chance.IntN(len(half))]...), commits
}

func TestAnAnswerIsThatOfTheCommit(t *testing.T) {
	s := newFakeServer(t)
	link := newPGLink(t, s.addr)
	conn := dial(t, link.Link)
	frontend := pgproto3.NewFrontend(conn, conn)
	frontend.Send(&pgproto3.SSLRequest{})
	if err := frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	receive(t, conn, "N") // and the same connection goes on
	frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}})
	held := make(chan struct{})
	s.before = func(sql string) {
		if sql == commit {
			<-held
		}
	}
	// One flight: two answers come before that of the COMMIT, and one after.
	frontend.Send(&pgproto3.Sync{})
	frontend.Send(&pgproto3.Query{String: "SELECT"})
	frontend.Send(&pgproto3.Query{String: commit})
	frontend.Send(&pgproto3.Sync{})
	if err := frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, frontend, 3)
	if c := link.Counts(); c.Answered != 0 {
		t.Errorf("%+v: another answer was taken for that of the COMMIT", c)
	}
	close(held)
	awaitReady(t, frontend, 2)
	if c := link.Counts(); c.Answered != 1 || c.Delivered != 1 {
		t.Errorf("%+v", c)
	}
}

func awaitReady(t *testing.T, frontend *pgproto3.Frontend, n int) {
	t.Helper()
	for n > 0 {
		msg, err := frontend.Receive()
		if err != nil {
			t.Fatal(errors.Join(errors.New("no answer"), err))
		}
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			n--
		}
	}
}
