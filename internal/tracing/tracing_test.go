package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"example.com/leeway/db/fresh"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736" // that of the W3C's examples
	spanID  = "00f067aa0ba902b7"
	valid   = "00-" + traceID + "-" + spanID + "-01"
)

// kept is what a test's spans end in.
func kept() (*Tracing, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return from(sdk.NewTracerProvider(sdk.WithSyncer(spans))), spans
}

// ask sends a request through the middleware to a handler that logs.
func ask(t *testing.T, tracing *Tracing, method, path string, traceparent ...string) (answered []string, log string, inside trace.SpanContext) {
	t.Helper()
	var text bytes.Buffer
	logger := slog.New(Logs(slog.NewTextHandler(&text, nil))).With("n", 1)
	r := chi.NewRouter()
	r.Use(tracing.Middleware)
	r.Get("/things/{id}", func(w http.ResponseWriter, r *http.Request) {
		inside = trace.SpanContextFromContext(r.Context())
		logger.InfoContext(r.Context(), "handled")
		if chi.URLParam(r, "id") == "broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if chi.URLParam(r, "id") == "cut" {
			panic(http.ErrAbortHandler)
		}
	})
	req := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	req.Header[Header] = traceparent
	rec := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		r.ServeHTTP(rec, req)
	}()
	return rec.Header()[Header], text.String(), inside
}

// malformed are headers that are as if they were not there (W3C Trace Context, sections
// 3.2 and 4.3).
var malformed = map[string][]string{
	"none":              nil,
	"empty":             {""},
	"garbage":           {"canary\r\nX: y"},
	"upper case":        {strings.ToUpper(valid)},
	"no trace":          {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"},
	"no parent":         {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"},
	"version ff":        {"ff" + valid[2:]},
	"more of version 0": {valid + "-what-the-future-will-be-like"},
	"a dash too many":   {valid + "-"},
	"short":             {valid[:54]},
	"two of them":       {valid, valid},
	"in one line":       {valid + "," + valid},
}

// Tracing off, the trace of a client goes on: in our log, and on the answer.
func TestTheClientsTraceGoesOnWithTracingOff(t *testing.T) {
	t.Parallel()
	for name, sent := range malformed {
		if answered, log, inside := ask(t, nil, "GET", "/things/1", sent...); answered != nil || strings.Contains(log, "trace_id") || inside.IsValid() {
			t.Errorf("%s: answered %q, inside %v, log %s", name, answered, inside.TraceID(), log)
		}
	}
	for sent, want := range map[string]string{
		valid:                     valid,
		valid[:53] + "00":         valid[:53] + "00",
		"01" + valid[2:] + "-new": valid, // of a version to come we know the beginning
		"cc" + valid[2:]:          valid,
	} {
		answered, log, _ := ask(t, nil, "GET", "/things/1", sent)
		if !cmp.Equal(answered, []string{want}) || !strings.Contains(log, "trace_id="+traceID) {
			t.Errorf("%s: answered %q, want %q; log %s", sent, answered, want, log)
		}
	}
}

func TestARequestIsASpan(t *testing.T) {
	t.Parallel()
	tracing, spans := kept()
	for name, sent := range malformed {
		answered, log, inside := ask(t, tracing, "GET", "/things/1", sent...)
		want := fmt.Sprintf("00-%s-%s-01", inside.TraceID(), inside.SpanID())
		if !cmp.Equal(answered, []string{want}) || inside.TraceID().String() == traceID || !strings.Contains(log, "trace_id="+inside.TraceID().String()) {
			t.Errorf("%s: answered %q, want a trace of its own, %q; log %s", name, answered, want, log)
		}
	}
	spans.Reset()

	answered, log, inside := ask(t, tracing, "GET", "/things/canary?q=canary", valid)
	if want := "00-" + traceID + "-" + inside.SpanID().String() + "-01"; !cmp.Equal(answered, []string{want}) || inside.SpanID().String() == spanID {
		t.Errorf("answered %q, want %q", answered, want)
	}
	if !strings.Contains(log, "trace_id="+traceID) {
		t.Errorf("no trace_id in %s", log)
	}
	ask(t, tracing, "GET", "/things/broken", valid)
	ask(t, tracing, "GET", "/things/cut", valid)
	ask(t, tracing, "CANARY", "/canary", valid)
	var got []string
	for _, s := range spans.GetSpans() {
		if s.Parent.SpanID().String() != spanID || !s.Parent.IsRemote() || s.SpanKind != trace.SpanKindServer {
			t.Errorf("%s is a %v of %v, want a server's, of the client's span", s.Name, s.SpanKind, s.Parent.SpanID())
		}
		got = append(got, text(s))
	}
	want := []string{
		"GET /things/{id} http.request.method=GET http.response.status_code=200 http.route=/things/{id} Unset",
		"GET /things/{id} error.type=503 http.request.method=GET http.response.status_code=503 http.route=/things/{id} Error",
		"GET /things/{id} error.type=500 http.request.method=GET http.response.status_code=500 http.route=/things/{id} Error",
		"HTTP http.request.method=_OTHER http.response.status_code=405 Unset",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// text is a span with its attributes in order, and its status.
func text(s tracetest.SpanStub) string {
	var attrs []string
	for _, a := range s.Attributes {
		attrs = append(attrs, string(a.Key)+"="+a.Value.String())
	}
	slices.Sort(attrs)
	return strings.Join(append(append([]string{s.Name}, attrs...), s.Status.Code.String()+s.Status.Description), " ")
}

// A client that does not want to be traced is not, nor is its database work.
func TestWhoIsNotSampledCostsNothing(t *testing.T) {
	t.Parallel()
	tracing, spans := kept()
	answered, _, inside := ask(t, tracing, "GET", "/things/1", valid[:53]+"00")
	if want := "00-" + traceID + "-" + inside.SpanID().String() + "-00"; !cmp.Equal(answered, []string{want}) {
		t.Errorf("answered %q, want %q", answered, want)
	}
	ctx := trace.ContextWithSpanContext(t.Context(), inside)
	if _, end := tracing.Hook()(ctx, fresh.Work{SQL: "-- name: Thing :one\nSELECT 1"}); end != nil {
		t.Error("a read of a trace that nobody keeps is measured")
	}
	if _, end := tracing.Hook()(t.Context(), fresh.Work{Kind: fresh.WorkWrite}); end != nil {
		t.Error("a write that is in no trace is measured")
	}
	if n := len(spans.GetSpans()); n != 0 {
		t.Errorf("%d spans, want none", n)
	}
}

func TestOffIsFree(t *testing.T) {
	var off *Tracing
	if off.Hook() != nil {
		t.Error("tracing is off, and the router is asked to tell of its work")
	}
	if err := off.Close(t.Context()); err != nil {
		t.Error(err)
	}
	handler := off.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	rec, req := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	if n := testing.AllocsPerRun(100, func() { handler.ServeHTTP(rec, req) }); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}

// What the database does becomes spans that name node and reason, and hold no text of
// a statement or of an error.
func TestWorkIsASpan(t *testing.T) {
	t.Parallel()
	replica := fresh.Served{Node: "replica-1", Bound: 1200 * time.Microsecond}
	primary := fresh.Served{Node: "a", Primary: true, Reason: fresh.ReasonToken}
	for _, tt := range []struct {
		work fresh.Work
		out  fresh.Outcome
		want string
	}{
		{
			fresh.Work{SQL: "-- name: Thing :one\nSELECT 'canary'"},
			fresh.Outcome{Served: replica, Tries: 1},
			"read Thing db.operation.name=Thing db.system.name=postgresql leeway.bound_ms=2 leeway.node=replica-1 leeway.reason=replica leeway.source=replica leeway.tries=1 Unset",
		},
		{
			fresh.Work{SQL: "SELECT 'canary'"},
			fresh.Outcome{Served: fresh.Served{Node: "replica-1", Bound: -1, Stale: true, Reason: fresh.ReasonLag}, Tries: 2},
			"read db.system.name=postgresql leeway.node=replica-1 leeway.reason=lag leeway.source=stale leeway.tries=2 Unset",
		},
		{
			fresh.Work{Kind: fresh.WorkSnapshot},
			fresh.Outcome{Served: primary, Tries: 3},
			"snapshot db.system.name=postgresql leeway.node=a leeway.reason=token leeway.source=primary leeway.tries=3 Unset",
		},
		{
			fresh.Work{Kind: fresh.WorkCommit},
			fresh.Outcome{Served: primary, Tries: 1, Err: fmt.Errorf("canary: %w", fresh.ErrCommitUnknown)},
			"commit db.system.name=postgresql error.type=commit_unknown leeway.node=a leeway.reason=token leeway.source=primary leeway.tries=1 Error",
		},
		{
			fresh.Work{Kind: fresh.WorkWrite},
			fresh.Outcome{Served: primary, Tries: 1, Err: fmt.Errorf("x: %w", &pgconn.PgError{Code: "22P02", Message: "canary"})},
			"write db.system.name=postgresql error.type=22P02 leeway.node=a leeway.reason=token leeway.source=primary leeway.tries=1 Error",
		},
		{
			fresh.Work{Kind: fresh.WorkWrite},
			fresh.Outcome{Served: primary, Tries: 1, Err: errors.New("canary: the cart is closed")},
			"write db.system.name=postgresql error.type=rolled_back leeway.node=a leeway.reason=token leeway.source=primary leeway.tries=1 Unset",
		},
		{
			fresh.Work{},
			fresh.Outcome{Served: fresh.Served{Reason: fresh.ReasonPrimaryDown}, Err: fresh.ErrNoPrimary},
			"read db.system.name=postgresql error.type=no_primary leeway.reason=primary_down leeway.tries=0 Error",
		},
	} {
		tracing, spans := kept()
		ctx, parent := tracing.tracer.Start(t.Context(), "request")
		inner, end := tracing.Hook()(ctx, tt.work)
		if trace.SpanContextFromContext(inner).SpanID() == parent.SpanContext().SpanID() {
			t.Errorf("%s: what it causes would not be below it", tt.want)
		}
		end(tt.out)
		got := spans.GetSpans()
		if len(got) != 1 || text(got[0]) != tt.want || got[0].Parent.SpanID() != parent.SpanContext().SpanID() {
			t.Errorf("got %v, want %s", texts(got), tt.want)
		}
		for _, s := range got {
			if len(s.Events) != 0 {
				t.Errorf("%s has events, which may quote an error: %v", s.Name, s.Events)
			}
		}
	}
}

func texts(spans tracetest.SpanStubs) (all []string) {
	for _, s := range spans {
		all = append(all, text(s))
	}
	return all
}

// A collector that is not there costs spans, and a line in the log.
func TestACollectorThatIsGone(t *testing.T) {
	var log bytes.Buffer
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200") // milliseconds, retries included
	tracing, err := New(t.Context(), "http://127.0.0.1:1/v1/traces", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if answered, _, _ := ask(t, tracing, "GET", "/things/1", valid); len(answered) != 1 {
		t.Errorf("answered %q", answered)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = tracing.Close(ctx)
	if !strings.Contains(log.String(), "traces are lost") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
}
