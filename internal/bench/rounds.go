package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// side is one of those that are compared.
type side struct {
	name string
	rate func(context.Context) (float64, error)
}

// rounds lets the sides have their turns, round after round: what the machine does beside
// happens to all of them. The result has a row for each side.
func (w *world) rounds(ctx context.Context, what string, sides ...side) ([][]float64, error) {
	all := make([][]float64, len(sides))
	for round := range w.Rounds {
		var line strings.Builder
		for i, s := range sides {
			rate, err := s.rate(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", what, s.name, err)
			}
			all[i] = append(all[i], rate)
			fmt.Fprintf(&line, "  %s %.0f/s", s.name, rate)
		}
		w.say("%s, round %d:%s", what, round+1, &line)
	}
	return all, nil
}

// ratios compares neighbours in time.
func ratios(a, b []float64) []float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] / b[i]
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure is the median of rounds.
func figure(name string, values []float64) Figure {
	return Figure{Name: name, Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

// compare is the ratio of the first side to another one.
func compare(name string, sides []side, all [][]float64, other int) Figure {
	f := figure(name, ratios(all[0], all[other]))
	f.Detail = fmt.Sprintf("%s %.0f/s, %s %.0f/s", sides[0].name, median(all[0]), sides[other].name, median(all[other]))
	return f
}
