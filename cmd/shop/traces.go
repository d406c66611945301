package main

import "net/url"

// traceFlags are the standard variables of OpenTelemetry that decide whether and
// where traces are sent. The others are read where they are used (internal/tracing).
type traceFlags struct {
	OTLPEndpoint       string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"OpenTelemetry collector, by OTLP over HTTP, such as http://127.0.0.1:4318. Default: no traces. The other OTEL_ variables hold as well."`
	OTLPTracesEndpoint string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" hidden:""`
	OTLPProtocol       string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" hidden:""`
	OTLPTracesProtocol string `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" hidden:""`
	SDKDisabled        bool   `env:"OTEL_SDK_DISABLED" hidden:""`
}

// tracesURL is where traces are sent, "" for nowhere. The endpoint of traces is a whole
// URL, and the common one the base of it (OpenTelemetry specification, "OTLP exporter
// configuration").
func (f traceFlags) tracesURL(errs *configErrors) string {
	setting, whole := "--otlp-endpoint, OTEL_EXPORTER_OTLP_ENDPOINT", f.OTLPTracesEndpoint
	if whole != "" {
		setting = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	} else if whole = f.OTLPEndpoint; whole == "" {
		return ""
	}
	if f.SDKDisabled {
		return ""
	}
	u, err := url.Parse(whole)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs.add(setting, "is not a URL of HTTP", "http://127.0.0.1:4318")
		return ""
	}
	if f.OTLPProtocol == "grpc" && f.OTLPTracesProtocol == "" || f.OTLPTracesProtocol == "grpc" {
		errs.add("OTEL_EXPORTER_OTLP_PROTOCOL", "is grpc, which is not spoken here", "http/protobuf, and the collector's port for it, 4318")
	}
	if f.OTLPTracesEndpoint == "" {
		u = u.JoinPath("v1", "traces")
	}
	return u.String()
}
