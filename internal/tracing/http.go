package tracing

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Header is that of W3C Trace Context, in the form in which net/http keeps it.
const Header = "Traceparent"

// Middleware puts a request into its trace. One whose Header is valid continues the
// trace of its client. The answer has the Header as well: with tracing on it names our
// span, so that the trace of any answer can be found; off, there is none, and it is
// that of the client again, which says that our log names its trace. A header that is
// not valid, or there twice, is as if it were not there (W3C Trace Context, section
// 3.2) and is never sent back.
//
// Use it inside the chi router and outside of everything that logs.
func (t *Tracing) Middleware(next http.Handler) http.Handler {
	if t == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r := continued(r); r != nil {
				answer(w, trace.SpanContextFromContext(r.Context()))
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := continued(r); c != nil {
			r = c
		}
		ctx, span := t.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindServer))
		answer(w, span.SpanContext())
		if !span.IsRecording() {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		r = r.WithContext(ctx)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		ended := false
		defer func() {
			status := ww.Status()
			if !ended {
				status = http.StatusInternalServerError // a panic that cuts the answer
			}
			describe(span, r, status)
			span.End()
		}()
		next.ServeHTTP(ww, r)
		ended = true
	})
}

// versionZero is how long the header of version 00 is; the library takes a dash more.
const versionZero = len("00-") + 32 + len("-") + 16 + len("-01")

// continued is r in the trace that its client began; nil if it began none.
func continued(r *http.Request) *http.Request {
	values := r.Header[Header]
	if len(values) != 1 || strings.HasPrefix(values[0], "00-") && len(values[0]) != versionZero {
		return nil
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	return r.WithContext(ctx)
}

// answer writes the header anew, in the one version that there is: nothing that a
// client sent comes back as it was.
func answer(w http.ResponseWriter, span trace.SpanContext) {
	traceID, spanID, flags := span.TraceID(), span.SpanID(), span.TraceFlags()
	w.Header()[Header] = []string{"00-" + traceID.String() + "-" + spanID.String() + "-" + flags.String()}
}

// describe adds what is known at the end. As the semantic conventions have it, the
// name is the method and the route, and only a 5xx is an error of a server.
func describe(span trace.Span, r *http.Request, status int) {
	if status == 0 {
		status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	method := knownMethod(r.Method)
	name := method.Value.AsString()
	if name == "_OTHER" {
		name = "HTTP"
	}
	attrs := append(make([]attribute.KeyValue, 0, 4), method, semconv.HTTPResponseStatusCode(status))
	if route := chi.RouteContext(r.Context()).RoutePattern(); route != "" {
		name += " " + route
		attrs = append(attrs, semconv.HTTPRoute(route))
	}
	if status >= http.StatusInternalServerError {
		attrs = append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.SetName(name)
	span.SetAttributes(attrs...)
}

func knownMethod(name string) attribute.KeyValue {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return semconv.HTTPRequestMethodKey.String(name)
	}
	return semconv.HTTPRequestMethodOther // anybody can invent one
}
