package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5/middleware"
)

// A Mapping translates one sentinel into a problem. An error of a type of its
// own takes part by unwrapping to the sentinel, or by an Is method.
type Mapping struct {
	Err     error
	Problem Problem
	// Fill, when set, adds what only the error knows, such as the lines that
	// lack stock. p is a copy, but its maps are the table's: replace them, do
	// not write into them.
	Fill func(err error, p *Problem)
}

// A Renderer adapts handlers that return errors. It is immutable and safe for
// concurrent use.
type Renderer struct {
	log   *slog.Logger
	table []Mapping
	tell  func(*http.Request, *Problem) // nil: nobody
}

// NewRenderer returns a Renderer with a base table. The first match wins.
func NewRenderer(log *slog.Logger, table ...Mapping) *Renderer {
	return &Renderer{log: log, table: slices.Clone(table)}
}

// With returns a Renderer that asks table before the table of rn.
func (rn *Renderer) With(table ...Mapping) *Renderer {
	return &Renderer{log: rn.log, table: slices.Concat(table, rn.table), tell: rn.tell}
}

// Tell returns a Renderer that tells seen of each problem that it sends, before its
// first byte.
func (rn *Renderer) Tell(seen func(*http.Request, *Problem)) *Renderer {
	return &Renderer{log: rn.log, table: rn.table, tell: seen}
}

// Handle adapts fn to the standard library, so that routers and middlewares
// see nothing of ours.
func (rn *Renderer) Handle(fn func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w = tracked(w, req)
		if err := fn(w, req); err != nil {
			rn.Error(w, req, err)
		}
	}
}

// Error is the one path from an error to the client and to the log: handlers,
// unknown routes, refused methods, overload and panics all end here.
func (rn *Renderer) Error(w http.ResponseWriter, req *http.Request, err error) {
	p := rn.Resolve(err)
	if p == internal && errors.Is(err, context.Canceled) {
		p = interrupted(req.Context())
	}
	rn.record(req, p, err, started(w))
	rn.write(w, req, p)
}

var (
	deadline     = &Problem{Status: http.StatusGatewayTimeout, Code: "deadline"}
	shuttingDown = &Problem{Status: http.StatusServiceUnavailable, Code: "shutting_down"}
)

// interrupted tells why work was cancelled. When the client has gone, nobody
// reads the answer; but returning without one would be an empty 200, and at
// shutdown, when the server cancels its base context, the client is still there.
func interrupted(ctx context.Context) *Problem {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return shuttingDown
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return deadline
	}
	return internal // we cancelled it ourselves: a bug
}

// Resolve finds the problem for err: the table first, so that a domain may
// rename what passes through it (an expired context during a commit is
// outcome_unknown), then a Problem in the chain, then the deadline. Anything
// else is the opaque 500.
func (rn *Renderer) Resolve(err error) *Problem {
	for _, m := range rn.table {
		if errors.Is(err, m.Err) {
			p := m.Problem
			if m.Fill != nil {
				m.Fill(err, &p)
			}
			return &p
		}
	}
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return deadline
	}
	return internal
}

// record logs once. Only a 500 is our mistake and an alarm; a 503 or 504 is a
// condition to watch; the client's own mistakes are noise unless debugging.
func (rn *Renderer) record(req *http.Request, p *Problem, err error, started bool) {
	level := slog.LevelDebug
	switch {
	case p == shuttingDown:
	case p.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case p.Status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	rn.log.LogAttrs(req.Context(), level, "request failed",
		slog.String("request_id", RequestIDFrom(req.Context())),
		slog.Int("status", p.Status),
		slog.String("code", p.Code),
		slog.Bool("answer_started", started),
		slog.String("error", ErrorText(err)))
}

// aboutNobody are the classes of SQLSTATEs (PostgreSQL manual, appendix A) whose
// messages speak of the server, the schema and the constraint, and never of a value:
// connections, constraints, the state of transactions, roles, resources, names.
var aboutNobody = []string{"08", "23", "25", "28", "3D", "40", "42", "53", "55", "57", "58"}

// ErrorText is the text of an error without what a client may have sent: the message
// of any other error of the database, such as one about data (22), may quote it.
func ErrorText(err error) string {
	text := err.Error()
	var said interface {
		error
		SQLState() string // as the driver's errors have it
	}
	if errors.As(err, &said) {
		if code := said.SQLState(); len(code) != 5 || !slices.Contains(aboutNobody, code[:2]) {
			text = strings.ReplaceAll(text, said.Error(), "SQLSTATE "+code)
		}
	}
	return text
}

func (rn *Renderer) write(w http.ResponseWriter, req *http.Request, p *Problem) {
	if started(w) {
		return
	}
	id := RequestIDFrom(req.Context())
	body, err := p.document(req.URL.Path, id)
	if err != nil {
		rn.log.ErrorContext(req.Context(), "problem not encodable",
			"request_id", id, "code", p.Code, "error", err.Error())
		p = internal
		body, _ = p.document(req.URL.Path, id)
	}
	if rn.tell != nil {
		rn.tell(req, p)
	}
	p.setHeader(w.Header())
	if err := Raw(w, p.Status, body); err != nil {
		rn.log.DebugContext(req.Context(), "problem not sent", "request_id", id, "error", err.Error())
	}
}

// JSON answers with v. It encodes before it writes anything, so that a failure
// can still become a 500. Set ETag, Location or Cache-Control through
// w.Header() before.
func JSON(w http.ResponseWriter, status int, v any) error {
	return encode(v, func(body []byte) error { return Raw(w, status, body) })
}

// Raw answers with body, byte for byte, and does not keep it. The content type is
// application/json unless the header already names one.
func Raw(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

// tracked makes sure that started can tell whether a header went out.
func tracked(w http.ResponseWriter, req *http.Request) http.ResponseWriter {
	if _, ok := w.(middleware.WrapResponseWriter); ok {
		return w
	}
	return middleware.NewWrapResponseWriter(w, req.ProtoMajor)
}

func started(w http.ResponseWriter) bool { return statusOf(w) != 0 }

// statusOf is 0 as long as nothing was sent.
func statusOf(w http.ResponseWriter) int {
	if t, ok := w.(middleware.WrapResponseWriter); ok {
		return t.Status()
	}
	return 0
}
