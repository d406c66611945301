package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/dbtest"
)

// collector takes traces by OTLP over HTTP, as JSON.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []otlpSpan
	raw   strings.Builder
}

type otlpSpan struct {
	TraceID, SpanID, ParentSpanID, Name string

	Kind       int
	Attributes []struct {
		Key   string
		Value map[string]any
	}
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []otlpSpan } }
		}
		if err := json.Unmarshal(body, &sent); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("POST %s: %v: %.300s", r.URL.Path, err, body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans { // OTLP leaves the case of hexadecimal open
					span.TraceID, span.SpanID = strings.ToLower(span.TraceID), strings.ToLower(span.SpanID)
					span.ParentSpanID = strings.ToLower(span.ParentSpanID)
					c.spans = append(c.spans, span)
				}
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace.
func (c *collector) of(traceID string) []otlpSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s otlpSpan) bool { return s.TraceID != traceID })
}

func (s otlpSpan) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			for _, v := range a.Value {
				text, _ := json.Marshal(v)
				return strings.Trim(string(text), `"`)
			}
		}
	}
	return ""
}

// traced asks within a trace of its own and returns the answer's spans, by name.
func (s *shop) traced(t *testing.T, c *collector, trace byte, ask func(traceparent string) answer) map[string]otlpSpan {
	t.Helper()
	traceID, parent := strings.Repeat(string(trace), 32), strings.Repeat("1", 16)
	a := ask("00-" + traceID + "-" + parent + "-01")
	if a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.awaitSpan(t, c, traceID, parent)
	spans, ids := map[string]otlpSpan{}, map[string]string{parent: "client"}
	for _, span := range c.of(traceID) {
		spans[span.Name], ids[span.SpanID] = span, span.Name
	}
	for name, span := range spans {
		span.ParentSpanID = ids[span.ParentSpanID]
		spans[name] = span
		if strings.Contains(a.header.Get("traceparent"), span.SpanID) != (span.ParentSpanID == "client") {
			t.Errorf("the answer's traceparent is %s and %s is the span of %s", a.header.Get("traceparent"), span.SpanID, name)
		}
	}
	return spans
}

// awaitSpan waits for the span of a request, which ends after its answer was sent.
func (s *shop) awaitSpan(t *testing.T, c *collector, traceID, parent string) {
	t.Helper()
	dbtest.Eventually(t, "the request's span is there", func() bool {
		if err := s.tracing.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(c.of(traceID), func(s otlpSpan) bool { return s.ParentSpanID == parent })
	})
}

// A request is a trace: who asked, what was read where and why, what was committed.
func TestTraces(t *testing.T) {
	c := newCollector(t)
	s := newShop(t, func(f *serveCmd) { f.OTLPEndpoint = c.URL })
	s.CatchUp(t)
	dbtest.Eventually(t, "a replica serves", func() bool { return fromReplica(s.get(t, "/v1/products/"+s.slug)) })

	page := "/v1/products/" + s.slug
	spans := s.traced(t, c, 'a', func(traceparent string) answer { return s.get(t, page, "traceparent", traceparent) })
	read := spans["read ProductBySlug"]
	if read.ParentSpanID != "GET /v1/products/{slug}" || spans[read.ParentSpanID].ParentSpanID != "client" {
		t.Errorf("the read is part of %q, and that of %q", read.ParentSpanID, spans[read.ParentSpanID].ParentSpanID)
	}
	if node := read.attribute("leeway.node"); !strings.HasPrefix(node, "replica") ||
		read.attribute("leeway.reason") != "replica" || read.attribute("leeway.bound_ms") == "" || read.attribute("leeway.tries") == "" {
		t.Errorf("the read says %+v", read.Attributes)
	}

	me := s.newShopper(t, item(s.variant, "1"))
	spans = s.traced(t, c, 'b', func(traceparent string) answer {
		return me.do(t, "POST", me.cart+"/checkout", checkoutBody, "Idempotency-Key", "a-key-of-mine", "traceparent", traceparent)
	})
	parents := map[string]string{}
	for name, span := range spans {
		parents[name] = span.ParentSpanID
	}
	want := map[string]string{"POST " + checkoutRoute: "client", "write": "POST " + checkoutRoute, "commit": "write"}
	if diff := cmp.Diff(want, parents); diff != "" {
		t.Errorf("a checkout: want (-), got (+):\n%s", diff)
	}
	for _, name := range []string{"write", "commit"} {
		if got := spans[name].attribute("leeway.node") + " " + spans[name].attribute("leeway.reason"); got != s.Primary().Name()+" policy" {
			t.Errorf("the %s names %q", name, got)
		}
	}

	s.Pause(t)
	token := me.do(t, "POST", "/v1/carts", "{}").token()
	spans = s.traced(t, c, 'c', func(traceparent string) answer {
		return s.get(t, page, "traceparent", traceparent, "Consistency-Token", token)
	})
	if read := spans["read ProductBySlug"]; read.attribute("leeway.node") != s.Primary().Name() ||
		read.attribute("leeway.reason") != "token" || read.attribute("leeway.source") != "primary" {
		t.Errorf("a read that only the primary may answer says %+v", read.Attributes)
	}
	me.do(t, "PUT", me.cart+"/items/"+s.variant, `{"quantity":"made-up-body"}`, "X-Request-Id", "made-up-id")
	s.traced(t, c, 'd', func(traceparent string) answer {
		return s.get(t, "/v1/search?q=made-up-search", "traceparent", traceparent)
	})
	s.wantNothingPrivate(t, c, me, token)
}

// wantNothingPrivate: what a client sent, and what opens something, is in no trace.
func (s *shop) wantNothingPrivate(t *testing.T, c *collector, me *shopper, token string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.raw.String()
	if !strings.Contains(sent, "/v1/search") || !strings.Contains(sent, "read ") {
		t.Fatal("the search was not traced")
	}
	for what, secret := range map[string]string{
		"a shopper token": strings.TrimPrefix(me.auth, "Bearer "), "a consistency token": token, "a cart": strings.TrimPrefix(me.cart, "/v1/carts/"),
		"an e-mail address": "ada@example.com", "a name": "Ada", "a street": "Main St", "a variant": s.variant, "a slug": s.slug,
		"what the client made up": "made-up", "a statement": "SELECT", "a client's address": "127.0.0.1",
		"a DSN": "postgres://", "a command line": "process.", "a host's name": "host.", "a client's program": "Go-http-client", "the token key": s.TokenKey,
	} {
		if strings.Contains(sent, secret) {
			t.Errorf("the traces have %s", what)
		}
	}
}

// Off, the trace of the client is named on the answer and in the log, and nobody is
// told of it.
func TestTracingIsOffWithoutAnEndpoint(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b") // does not turn it on
	s := newShop(t)
	traceparent := "00-" + strings.Repeat("a", 32) + "-" + strings.Repeat("1", 16) + "-01"
	if got := s.get(t, "/v1/products/"+s.slug, "traceparent", traceparent).header.Get("traceparent"); got != traceparent {
		t.Errorf("answered %q, want %q", got, traceparent)
	}
	for _, path := range []string{"/v1/products/" + s.slug, "/nothing", "/healthz"} {
		if got := s.get(t, path).header.Values("traceparent"); len(got) != 0 {
			t.Errorf("%s: answered %q to a client that is in no trace", path, got)
		}
	}
	if s.tracing != nil || len(c.of(strings.Repeat("a", 32))) != 0 {
		t.Error("there is an exporter")
	}
}

func TestWhereTracesGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags traceFlags
		want  string
		wrong string
	}{
		{traceFlags{}, "", ""},
		{traceFlags{OTLPEndpoint: "http://127.0.0.1:4318"}, "http://127.0.0.1:4318/v1/traces", ""},
		{traceFlags{OTLPEndpoint: "https://u:p@otel/base/"}, "https://u:p@otel/base/v1/traces", ""},
		{traceFlags{OTLPEndpoint: "http://a:1", OTLPTracesEndpoint: "http://b:2/as/it/is"}, "http://b:2/as/it/is", ""},
		{traceFlags{OTLPEndpoint: "http://a:1", SDKDisabled: true}, "", ""},
		{traceFlags{OTLPEndpoint: "127.0.0.1:4318"}, "", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{traceFlags{OTLPTracesEndpoint: "ftp://hunter2@x"}, "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{traceFlags{OTLPEndpoint: "http://a:1", OTLPProtocol: "grpc"}, "http://a:1/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{traceFlags{OTLPEndpoint: "http://a:1", OTLPProtocol: "grpc", OTLPTracesProtocol: "http/json"}, "http://a:1/v1/traces", ""},
	} {
		var errs configErrors
		got := tt.flags.tracesURL(&errs)
		said := ""
		if err := errs.err(); err != nil {
			said = err.Error()
		}
		if got != tt.want || (said != "") != (tt.wrong != "") || !strings.Contains(said, tt.wrong) || strings.Contains(said, "hunter2") {
			t.Errorf("%+v: %q, want %q; errors %q, want of %q", tt.flags, got, tt.want, said, tt.wrong)
		}
	}
}
