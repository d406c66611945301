package dbtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Contender does the same thing as others, in its own way.
type Contender struct {
	Name string
	Do   func(context.Context) error
}

const (
	actors   = 8
	perActor = 400
)

// Ratio compares contenders with the first of them. An operation of the benchmark is
// one round, in which each has its turn; the ratio of a round is that of neighbours in
// time, and the median over the rounds is reported, so that a busy moment of the
// machine counts for all or for none. The second contender should be the first one
// again: what it differs from 1 is noise.
func Ratio(b *testing.B, list []Contender) {
	b.Helper()
	rates := make([][]float64, len(list))
	for b.Loop() {
		for _, k := range rand.Perm(len(list)) { // nobody always follows the same one
			rates[k] = append(rates[k], rate(b, list[k].Do))
		}
	}
	for k, c := range list {
		name := strings.ReplaceAll(c.Name, " ", "-")
		b.ReportMetric(median(rates[k]), name+"/s")
		if k == 0 {
			continue
		}
		ratios := make([]float64, len(rates[k]))
		for i := range ratios {
			ratios[i] = rates[k][i] / rates[0][i]
		}
		b.ReportMetric(median(ratios), name+"/"+list[0].Name)
	}
}

// rate is how often a second eight actors do it together.
func rate(b *testing.B, do func(context.Context) error) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	var all sync.WaitGroup
	start := time.Now()
	for range actors {
		all.Go(func() {
			for range perActor {
				if err := do(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return actors * perActor / time.Since(start).Seconds()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
