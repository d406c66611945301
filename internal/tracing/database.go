package tracing

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/leeway/db/fresh"
)

// The attributes of our own. A bound is in milliseconds, rounded up as in Data-Source.
const (
	nodeKey   = attribute.Key("leeway.node")
	sourceKey = attribute.Key("leeway.source") // replica, stale or primary
	reasonKey = attribute.Key("leeway.reason")
	boundKey  = attribute.Key("leeway.bound_ms")
	triesKey  = attribute.Key("leeway.tries")
)

// Hook makes a span of each piece of work of the router that a trace asks for; it is
// for fresh.Hooks.Start. What nobody waits for, such as the sweeper's, is in no trace.
// It is nil when tracing is off.
func (t *Tracing) Hook() func(context.Context, fresh.Work) (context.Context, func(fresh.Outcome)) {
	if t == nil {
		return nil
	}
	return t.work
}

func (t *Tracing) work(ctx context.Context, w fresh.Work) (context.Context, func(fresh.Outcome)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	query := queryName(w.SQL)
	name := w.Kind.String()
	if query != "" {
		name += " " + query
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(o fresh.Outcome) {
		span.SetAttributes(outcome(query, o)...)
		if o.Err != nil {
			kind, ours := errorType(o.Err)
			span.SetAttributes(semconv.ErrorTypeKey.String(kind))
			if ours {
				span.SetStatus(codes.Error, "")
			}
		}
		span.End()
	}
}

func outcome(query string, o fresh.Outcome) []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 8), semconv.DBSystemNamePostgreSQL,
		reasonKey.String(o.Served.Reason.String()), triesKey.Int(o.Tries))
	if query != "" {
		attrs = append(attrs, semconv.DBOperationName(query))
	}
	if o.Served.Node == "" {
		return attrs
	}
	attrs = append(attrs, nodeKey.String(o.Served.Node), sourceKey.String(o.Served.Source()))
	if !o.Served.Primary && o.Served.Bound >= 0 {
		attrs = append(attrs, boundKey.Int64(int64((o.Served.Bound+time.Millisecond-1)/time.Millisecond)))
	}
	return attrs
}

// queryName is the name that sqlc writes into the first line of a statement; the
// statement itself is in no span.
func queryName(sql string) string {
	rest, ok := strings.CutPrefix(sql, "-- name: ")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// errorType names an error by a closed set, for its text may quote a client. ours is
// false for what the caller decided: a cart that is closed rolls back as well.
func errorType(err error) (name string, ours bool) {
	for _, known := range []struct {
		err  error
		name string
	}{
		{fresh.ErrCommitUnknown, "commit_unknown"},
		{fresh.ErrNoPrimary, "no_primary"},
		{fresh.ErrNoSynchronousStandby, "no_synchronous_standby"},
		{fresh.ErrOverloaded, "overloaded"},
		{fresh.ErrUnprovable, "unprovable"},
		{fresh.ErrUnavailable, "unavailable"},
		{context.DeadlineExceeded, "deadline"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.name, true
		}
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code, true
	}
	return "rolled_back", false
}
