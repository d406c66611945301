// Package tracing sends OpenTelemetry traces of requests and of what the database
// does for them, when there is a collector to send them to. Without one there is no
// exporter, no hook and no goroutine; a trace that a client began is still named in
// the log.
//
// A span holds names that the shop gave: routes, query names, node names, reasons and
// codes. It never holds what a client sent, a statement, its arguments, or the text of
// an error, which may quote them.
package tracing

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes spans and sends them in the background. A nil *Tracing is tracing
// that is off. It is safe for concurrent use.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New sends traces to url, by OTLP over HTTP (such as http://127.0.0.1:4318/v1/traces).
// It connects nothing yet. A collector that is slow or gone costs nobody but the spans:
// at most 2,048 are kept for it, the others are dropped, and failures go to log.
//
// The standard variables hold for all else: OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_BSP_* and so on (OpenTelemetry specification,
// "Environment variables").
func New(ctx context.Context, url string, log *slog.Logger) (*Tracing, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces are lost", "error", err)
	}))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	what, err := whatWeAre(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return from(sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(what))), nil
}

func from(provider *sdk.TracerProvider) *Tracing {
	return &Tracing{provider, provider.Tracer("example.com/leeway", trace.WithSchemaURL(semconv.SchemaURL))}
}

// whatWeAre leaves out the detectors of processes and hosts: a command line may hold a
// password.
func whatWeAre(ctx context.Context) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithAttributes(semconv.ServiceName("leeway-shop")),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // last: it wins
	)
}

// Flush sends what has ended so far.
func (t *Tracing) Flush(ctx context.Context) error { return t.provider.ForceFlush(ctx) }

// Close sends what is left until ctx ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
