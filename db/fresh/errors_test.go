package fresh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func code(s string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: s}) }

func TestClassify(t *testing.T) {
	tests := []struct {
		name               string
		err                error
		replica, primary   verdict
		toldReplica, toldP error // what a caller can tell it by
	}{
		{"unknown code", code("99999"), final, final, nil, nil},
		{"syntax error", code("42601"), final, final, nil, nil},
		{"no grant", code("42501"), final, final, nil, nil},
		{"unique violation", code("23505"), final, final, nil, nil},
		{"lock not available on the primary", code("55P03"), conflict, final, nil, nil},
		{"recovery conflict or serialization", code("40001"), conflict, again, nil, ErrUnavailable},
		{"deadlock", code("40P01"), conflict, again, nil, ErrUnavailable},
		{"statement time-out", code("57014"), exhausted, exhausted, ErrUnavailable, ErrUnavailable},
		{"too many connections", code("53300"), elsewhere, exhausted, ErrNoPrimary, ErrUnavailable},
		{"disk full", code("53100"), elsewhere, exhausted, ErrNoPrimary, ErrUnavailable},
		{"table not replayed yet", code("42P01"), elsewhere, final, ErrNoPrimary, nil},
		{"read-only", code("25006"), final, elsewhere, nil, ErrNoPrimary},
		{"shutting down", code("57P01"), elsewhere, elsewhere, ErrNoPrimary, ErrNoPrimary},
		{"starting up", code("57P03"), elsewhere, elsewhere, ErrNoPrimary, ErrNoPrimary},
		{"any connection exception", code("08006"), elsewhere, elsewhere, ErrNoPrimary, ErrNoPrimary},
		{"end of file", io.ErrUnexpectedEOF, elsewhere, elsewhere, ErrNoPrimary, ErrNoPrimary},
		{"network", &net.OpError{Op: "read", Err: errors.New("reset")}, elsewhere, elsewhere, ErrNoPrimary, ErrNoPrimary},
		{"no rows", pgx.ErrNoRows, final, final, nil, nil},
		{"a time-out of the caller's own", context.DeadlineExceeded, final, final, nil, nil},
		{"something else", errors.New("cannot encode"), final, final, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			if got := classify(ctx, tt.err, onReplica); got != tt.replica {
				t.Errorf("on a replica: %d, want %d", got, tt.replica)
			}
			if got := classify(ctx, tt.err, onPrimary); got != tt.primary {
				t.Errorf("on the primary: %d, want %d", got, tt.primary)
			}
			if err := told(ctx, tt.err, onPrimary); !errors.Is(err, tt.err) || tt.toldP != nil && !errors.Is(err, tt.toldP) {
				t.Errorf("told of the primary: %v, want %v in it", err, tt.toldP)
			}
			if err := told(ctx, tt.err, onReplica); tt.toldReplica != nil && !errors.Is(err, tt.toldReplica) {
				t.Errorf("told of a replica: %v, want %v in it", err, tt.toldReplica)
			}
			ended, end := context.WithCancel(ctx)
			end()
			if got := classify(ended, tt.err, onPrimary); got != final {
				t.Errorf("after the caller has left: %d, want final", got)
			}
		})
	}
}
