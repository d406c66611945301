package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/leeway/internal/dbtest"
)

// What the database says becomes a status and nothing more: an unexpected code
// is a 500, whose body repeats nothing of the server's words, and is counted.
func TestAnUnexpectedSQLStateIsAnOpaque500(t *testing.T) {
	s := newShop(t)
	owner := s.Admin(t, s.Primary())
	for _, tt := range []struct {
		code   string
		status int
		name   string
		seen   string // in the metrics
	}{
		{"LW001", 500, "internal", `leeway_unexpected_sqlstate_total{code="LW001"} 1`},
		{"42501", 500, "internal", `leeway_unexpected_sqlstate_total{code="42501"} 1`},
		{"XX001", 500, "internal", `leeway_unexpected_sqlstate_total{code="XX001"} 1`},
		{"23514", 500, "internal", ""}, // of a constraint that no store knows
		{"53100", 503, "database_unavailable", `leeway_unexpected_sqlstate_total{code="53100"} 1`},
		{"42703", 503, "database_unavailable", `leeway_unexpected_sqlstate_total{code="42703"} 1`},
		{"25006", 503, "primary_unavailable", ""},
	} {
		t.Run(tt.code, func(t *testing.T) {
			_, err := owner.Exec(t.Context(), `CREATE OR REPLACE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
					BEGIN RAISE EXCEPTION USING ERRCODE = '`+tt.code+`', MESSAGE = 'hunter2', DETAIL = 'hunter2', HINT = 'hunter2'; END $$;
				CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON carts EXECUTE FUNCTION public.fail()`)
			if err != nil {
				t.Fatal(err)
			}
			a := send(t, "POST", s.url+"/v1/carts", strings.NewReader(`{"items":[`+item(s.variant, "1")+`]}`))
			if a.status != tt.status || a.field("code") != tt.name {
				t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.name)
			}
			for _, leak := range []string{"hunter2", tt.code, "SQLSTATE"} {
				if strings.Contains(string(a.body), leak) {
					t.Errorf("the body tells %q: %s", leak, a.body)
				}
			}
			metrics := httptest.NewRecorder()
			promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
			if !strings.Contains(metrics.Body.String(), tt.seen) {
				t.Errorf("the metrics lack %s", tt.seen)
			}
		})
	}
	if _, err := owner.Exec(t.Context(), "DROP TRIGGER fail ON carts"); err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, "carts are to be had again", func() bool {
		return send(t, "POST", s.url+"/v1/carts", strings.NewReader(`{"items":[]}`)).status == 201
	})
}
