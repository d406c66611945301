package faults

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// stream divides one direction of PostgreSQL's protocol (manual, section 54.7) at
// the messages that matter. It passes on the very bytes that it read; pgproto3's
// Backend and Frontend would hold each message whole, fail on a type that they do
// not know, and encode it anew.
type stream struct {
	pipe *pipe
	r    *bufio.Reader
	kind byte // of the message begun last
	left int  // bytes of it still to be passed on
}

const (
	headerSize = 5       // a type byte, and a length that counts itself but not the type
	maxMessage = 1 << 30 // PostgreSQL's MaxAllocSize
	// maxStartup is the server's limit for packets without a type byte
	// (MAX_STARTUP_PACKET_LENGTH).
	maxStartup = 10_000
)

var errGarbled = errors.New("faults: not PostgreSQL's protocol")

func newStream(p *pipe) stream {
	return stream{pipe: p, r: bufio.NewReaderSize(p.from, readSize)}
}

// gather fills buf with what has arrived, waiting only for the first of it. It
// stops before a message that the visitor wants to take itself, and after a
// ReadyForQuery. The visitor learns how much was gathered before.
func (s *stream) gather(buf []byte, visit func(kind byte, size, gathered int) bool) (n int, stopped bool, err error) {
	for n < len(buf) {
		if s.left == 0 {
			if n > 0 && s.r.Buffered() < headerSize {
				return n, false, nil
			}
			kind, size, err := s.header()
			if err != nil {
				return n, false, err
			}
			if visit(kind, size, n) {
				return n, true, nil
			}
			s.kind, s.left = kind, size
		}
		if n > 0 && s.r.Buffered() == 0 {
			return n, false, nil
		}
		m, err := s.r.Read(buf[n:min(len(buf), n+s.left)])
		n, s.left = n+m, s.left-m
		if err != nil || s.ready() {
			return n, false, err
		}
	}
	return n, false, nil
}

// ready reports whether the stream stands behind a whole ReadyForQuery.
func (s *stream) ready() bool { return s.kind == 'Z' && s.left == 0 }

// header looks at the next message without taking it. Its size is that of all.
func (s *stream) header() (kind byte, size int, err error) {
	h, err := s.r.Peek(headerSize)
	if err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(h[1:])
	if length < 4 || length > maxMessage {
		return 0, 0, errGarbled
	}
	return h[0], 1 + int(length), nil
}

// take reads a whole message, or startup packet.
func (s *stream) take(size int) ([]byte, error) {
	data := make([]byte, size)
	n, err := io.ReadFull(s.r, data)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return data[:n], err
}

// ends is the last chunk of the stream, with what came of an unfinished message.
func (s *stream) ends(data []byte, err error) chunk {
	if errors.Is(err, errGarbled) {
		s.pipe.conn.link.count(func(n *Counts) { n.Garbled++ })
		return chunk{data: data, end: err}
	}
	rest, _ := s.r.Peek(s.r.Buffered()) // never waits
	return chunk{data: append(data, rest...), end: err}
}

// requests is what a client sends. A COMMIT becomes a chunk of its own.
type requests struct {
	stream
	reply   *pipe // to the client
	started bool
	opaque  bool // a CancelRequest came: nothing may follow
	owed    int  // ReadyForQuery messages that the server has sent or owes
}

func newRequests(up, down *pipe) *requests {
	return &requests{stream: newStream(up), reply: down}
}

func (r *requests) next(buf []byte) chunk {
	switch {
	case r.opaque:
		n, err := r.r.Read(buf)
		return chunk{data: buf[:n], end: err}
	case !r.started:
		return r.startup()
	}
	n, stopped, err := r.gather(buf, r.visit)
	switch {
	case err != nil:
		return r.ends(buf[:n], err)
	case stopped && n == 0:
		return r.commit()
	default:
		return chunk{data: buf[:n]}
	}
}

// visit counts what will be answered with ReadyForQuery: a simple Query, a Sync, a
// FunctionCall. What was gathered must not wait for a Query's text to arrive.
func (r *requests) visit(kind byte, size, gathered int) bool {
	switch kind {
	case 'Q':
		if gathered > 0 || r.isCommit(size) {
			return true
		}
		r.owed++
	case 'S', 'F':
		r.owed++
	}
	return false
}

func (r *requests) isCommit(size int) bool {
	prefix := r.pipe.conn.link.commits.prefix
	if size < headerSize+len(prefix)+1 { // the text ends with a NUL
		return false
	}
	head, err := r.r.Peek(headerSize + len(prefix))
	return err == nil && bytes.HasPrefix(head[headerSize:], []byte(prefix))
}

func (r *requests) commit() chunk {
	_, size, err := r.header()
	if err != nil {
		return r.ends(nil, err)
	}
	data, err := r.take(size)
	if err != nil {
		return chunk{data: data, end: err}
	}
	r.owed++
	return chunk{data: data, commit: &commit{answer: r.owed, staged: make(chan struct{})}}
}

// startup reads the packets that come first and have no type byte. Requests for
// encryption are refused here, as a server without it does: the server never sees
// them, and the client starts again in plain text or fails.
func (r *requests) startup() chunk {
	h, err := r.r.Peek(8)
	if err != nil {
		return r.ends(nil, err)
	}
	size, code := binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
	if size < 8 || size > maxStartup {
		return r.ends(nil, errGarbled)
	}
	packet, err := r.take(int(size))
	if err != nil {
		return chunk{data: packet, end: err}
	}
	var cancel pgproto3.CancelRequest
	switch body := packet[4:]; {
	case cancel.Decode(body) == nil:
		r.opaque = true
		r.pipe.conn.link.cancels(cancel.ProcessID)
	case new(pgproto3.SSLRequest).Decode(body) == nil, new(pgproto3.GSSEncRequest).Decode(body) == nil:
		r.reply.push(chunk{data: []byte("N")})
		return chunk{}
	case code>>16 != 3:
		return r.ends(nil, errGarbled)
	default:
		r.started, r.owed = true, 1
	}
	return chunk{data: packet}
}

// answers is what a server sends. A chunk ends where the answer to a COMMIT does.
type answers struct {
	stream
	seen int // ReadyForQuery messages
}

func newAnswers(down *pipe) *answers { return &answers{stream: newStream(down)} }

func (a *answers) next(buf []byte) chunk {
	n, _, err := a.gather(buf, a.visit)
	if err != nil {
		return a.ends(buf[:n], err)
	}
	ch := chunk{data: buf[:n]}
	if a.ready() {
		a.seen++
		ch.answer = a.pipe.conn.answered(a.seen)
	}
	return ch
}

// visit takes down who answers. What was gathered must not wait for the rest.
func (a *answers) visit(kind byte, _, gathered int) bool {
	if kind != 'K' {
		return false
	}
	if gathered > 0 {
		return true
	}
	if head, err := a.r.Peek(headerSize + 4); err == nil {
		a.pipe.conn.answeredBy(binary.BigEndian.Uint32(head[headerSize:]))
	}
	return false
}
