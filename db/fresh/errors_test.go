package fresh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func code(s string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: s}) }

// What is not an SQLSTATE; those that are have a table, and tests on servers.
func TestClassify(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want verdict
		told error // what a caller can tell it by
	}{
		{"end of file", io.ErrUnexpectedEOF, elsewhere, ErrNoPrimary},
		{"network", &net.OpError{Op: "read", Err: errors.New("reset")}, elsewhere, ErrNoPrimary},
		{"no connection", &pgconn.ConnectError{}, elsewhere, ErrNoPrimary},
		{"demoted", errDemoted, demoted, ErrNoPrimary},
		{"no rows", pgx.ErrNoRows, final, nil},
		{"a time-out of the caller's own", context.DeadlineExceeded, final, nil},
		{"something else", errors.New("cannot encode"), final, nil},
		{"the first of two", errors.Join(code("40001"), code("25P02")), again, ErrUnavailable},
		{"a refused COMMIT is not sent again", errors.Join(errRefused, code("40001")), exhausted, ErrUnavailable},
		{"a constraint at COMMIT", errors.Join(errRefused, code("23503")), final, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := classify(t.Context(), tt.err, inWrite)
			if v != tt.want {
				t.Errorf("verdict %d, want %d", v, tt.want)
			}
			if err := told(v, tt.err); !errors.Is(err, tt.err) || tt.told != nil && !errors.Is(err, tt.told) {
				t.Errorf("told %v, want %v in it", err, tt.told)
			}
			ended, end := context.WithCancel(t.Context())
			end()
			if got := classify(ended, tt.err, inWrite); got != final {
				t.Errorf("after the caller has left: %d, want final", got)
			}
		})
	}
}

func TestRulesAreNotAmbiguous(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.code] || len(r.code) != 2 && !wellFormed(r.code) || r.why == "" {
			t.Errorf("rule %+v: twice, malformed or without a reason", r)
		}
		seen[r.code] = true
	}
}

// Whatever a server sends as a code, the metric has a bounded number of series.
func TestTheLabelIsBounded(t *testing.T) {
	a := alarms{logged: map[string]time.Time{}}
	labels := map[string]bool{}
	for i := range 1000 {
		label, _ := a.admit(fmt.Sprintf("Z%04d", i), true)
		labels[label] = true
	}
	if len(labels) != maxCodes+1 || !labels["other"] {
		t.Errorf("%d labels, want %d and other", len(labels), maxCodes)
	}
	for _, bad := range []string{"", "4200", "42p01", "42P0\n", "42P011", "\xff\xff\xff\xff\xff"} {
		if label, _ := a.admit(bad, true); label != "other" {
			t.Errorf("%q is counted under %q", bad, label)
		}
	}
	if label, loud := a.admit("Z0000", true); label != "Z0000" || loud {
		t.Errorf("a code seen before is counted under %q and logged again within the minute: %v", label, loud)
	}
}
