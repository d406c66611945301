package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// measured is a small router behind Measure.
func measured() (*prometheus.Registry, *Metrics, http.Handler) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	render := NewRenderer(slog.New(slog.DiscardHandler)).Tell(m.Problem)
	r := chi.NewRouter()
	r.Use(m.Measure, render.Recover)
	r.NotFound(render.NotFound)
	r.MethodNotAllowed(render.MethodNotAllowed)
	r.Get("/things/{id}", render.Handle(func(w http.ResponseWriter, r *http.Request) error {
		m.Read(r.Context(), "replica-1", "replica", "replica")
		switch chi.URLParam(r, "id") {
		case "none":
			return NotFound
		case "broken":
			panic("broken")
		case "cut":
			w.WriteHeader(http.StatusOK)
			panic("cut")
		case "gone":
			return context.Canceled
		}
		return JSON(w, http.StatusOK, "a thing")
	}))
	return registry, m, r
}

// counts returns the series of a family as "label label ... number".
func counts(t *testing.T, registry *prometheus.Registry, family string) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			if f.GetName() != family {
				continue
			}
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			n := metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			all = append(all, strings.Join(append(labels, fmt.Sprint(n)), " "))
		}
	}
	return all
}

func TestRequestsAreMeasured(t *testing.T) {
	t.Parallel()
	registry, _, handler := measured()
	do := func(ctx context.Context, method, path string) {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			}
		}()
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, method, path, nil))
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, id := range []string{"1", "2", "none", "broken", "cut"} {
		do(t.Context(), "GET", "/things/"+id)
	}
	do(gone, "GET", "/things/gone")
	do(t.Context(), "DELETE", "/things/1")
	do(t.Context(), "BREW", "/things/1")
	do(t.Context(), "GET", "/nothing")

	for family, want := range map[string][]string{
		// method, route, status
		"leeway_http_request_seconds": {
			"DELETE none 4xx 1", "GET /things/{id} 2xx 2", "GET /things/{id} 4xx 2", "GET /things/{id} 5xx 2",
			"GET none 4xx 1", "other none 4xx 1",
		},
		// code, route: an answer that was cut has no problem, and who has gone sees none
		"leeway_http_problems_total": {
			"internal /things/{id} 1", "method_not_allowed none 2", "not_found /things/{id} 1", "not_found none 1",
			"shutting_down /things/{id} 1",
		},
		"leeway_http_reads_total": {"replica-1 replica /things/{id} replica 6"},
	} {
		if diff := cmp.Diff(want, counts(t, registry, family)); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", family, diff)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// However a client words its requests, there are no more series.
func TestLabelsAreNotTheClients(t *testing.T) {
	t.Parallel()
	registry, _, handler := measured()
	size := func() (n int) {
		for _, family := range []string{"leeway_http_request_seconds", "leeway_http_problems_total", "leeway_http_reads_total"} {
			n += len(counts(t, registry, family))
		}
		return n
	}
	for i := range 300 {
		for _, method := range []string{"GET", "PUT", fmt.Sprintf("M%d", i)} {
			for _, path := range []string{"/things/%d", "/%d", "/things/%d/", "/things/1?q=%d", "/things//%d"} {
				req := httptest.NewRequestWithContext(t.Context(), method, fmt.Sprintf(path, i), nil)
				handler.ServeHTTP(httptest.NewRecorder(), req)
			}
		}
	}
	// Requests: GET of the route, and GET, PUT and others of no route. Problems: the
	// latter, as not_found and method_not_allowed. Reads: one.
	if n := size(); n != 4+2+1 {
		t.Errorf("%d series:\n%s\n%s", n, strings.Join(counts(t, registry, "leeway_http_request_seconds"), "\n"),
			strings.Join(counts(t, registry, "leeway_http_problems_total"), "\n"))
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	r := chi.NewRouter()
	r.Get("/things/{id}", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		seconds := func() { m.seconds.of(request{route(ctx), method("GET"), 2}).Observe(0.001) }
		reads := func() { m.Read(ctx, "replica-1", "replica", "replica") }
		for name, count := range map[string]func(){"a request": seconds, "a read": reads} {
			if n := testing.AllocsPerRun(100, count); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
	})
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/things/1", nil))
}

// Whoever makes a Renderer of another's keeps being told.
func TestTellIsInherited(t *testing.T) {
	t.Parallel()
	oops := errors.New("oops")
	var told []string
	render := NewRenderer(slog.New(slog.DiscardHandler)).Tell(func(_ *http.Request, p *Problem) { told = append(told, p.Code) })
	handler := render.With(Mapping{Err: oops, Problem: Problem{Status: 409, Code: "taken"}}).
		Handle(func(http.ResponseWriter, *http.Request) error { return oops })
	handler(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if want := []string{"taken"}; !cmp.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
