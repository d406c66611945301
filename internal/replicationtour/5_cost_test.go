package replicationtour

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/dbtest"
)

// levels of synchronous_commit, the cheapest first: off waits for nothing and may lose
// the last commits in a crash (db/fresh refuses it); local is what asynchronous
// replication waits for; the others wait for one standby. "local again" is like local:
// what it differs by is noise.
var levels = []struct{ name, level string }{
	{"off", "off"}, {"local", "local"}, {"local-again", "local"}, {"on", "on"}, {"remote_apply", "remote_apply"},
}

const commitsPerTurn = 20

// BenchmarkCommitRatio is the price of a COMMIT of one small row by one client. An
// operation is one round in which each level has its turn, and the median over the
// rounds is reported: in milliseconds, and as a ratio to its neighbours in the same
// round with local and with off.
//
//	go test -run '^$' -bench Ratio -benchtime 101x ./internal/replicationtour
func BenchmarkCommitRatio(b *testing.B) {
	config := dbtest.Config()
	config.Settings["fsync"] = "on" // what is measured is the disk, too
	env := dbtest.NewOn(b, config)
	setup := env.Admin(b, env.Primary())
	mustExec(b, setup, "CREATE TABLE paid (level text, n int)")
	conns := make([]*pgx.Conn, len(levels))
	for i, l := range levels {
		conns[i] = env.Admin(b, env.Primary())
		mustExec(b, conns[i], "SET synchronous_commit = "+l.level)
	}
	took := make([][]float64, len(levels)) // milliseconds for a commit, by level and round
	for b.Loop() {
		for _, i := range rand.Perm(len(levels)) { // nobody always follows the same one
			began := time.Now()
			for range commitsPerTurn {
				mustExec(b, conns[i], "INSERT INTO paid VALUES ($1, 1)", levels[i].name)
			}
			took[i] = append(took[i], time.Since(began).Seconds()*1000/commitsPerTurn)
		}
	}
	const off, local = 0, 1
	for i, l := range levels {
		b.ReportMetric(median(took[i]), l.name+"-ms")
		if i > off {
			b.ReportMetric(ratio(took[i], took[off]), l.name+"/off")
		}
		if i > local {
			b.ReportMetric(ratio(took[i], took[local]), l.name+"/local")
		}
	}
}

// ratio is the median of those of the rounds, so that a busy moment of the machine
// counts for both or for none.
func ratio(values, base []float64) float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func mustExec(tb testing.TB, conn *pgx.Conn, sql string, args ...any) {
	tb.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		tb.Fatal(err)
	}
}
