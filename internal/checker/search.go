package checker

import (
	"context"
	"slices"

	"github.com/anishathalye/porcupine"
)

// What a search may cost. A partition of some hundred operations with few in doubt
// takes about one step for each, and so do the thousands of a variant that everybody
// wants; forty clients that compete for the last pieces took 200,000. What has no
// order costs more: 28 partitions of such a run took 0.4 s and 70 MiB.
const (
	stepsInAll       = 20_000_000
	stepsOfPartition = 4_000_000
	stepsOfBlame     = 20_000
	maxPartition     = 5_000
)

// A move is one operation of a partition as the search sees it. Return is forever
// when it may have taken effect at any later time.
type move[S any] struct {
	call, ret int64
	op        *Op                     // to name it; nil for what the nodes hold at the end
	step      func(state S) (S, bool) // the next state; false: not from this one
	text      string
}

// verdict is what became of a search.
type verdict int

const (
	explained verdict = iota
	unexplained
	undecided
)

// search looks for an order of the moves that begins at init, respects what came
// after what, and explains every answer. steps is what may still be spent on all
// partitions. When there is no order, or none was found, the move is the first that
// the best attempt could not place; nil: not known.
func search[S comparable](init S, moves []move[S], steps *int) (verdict, *move[S]) {
	if len(moves) > maxPartition {
		return undecided, nil
	}
	history := make([]porcupine.Operation, len(moves))
	for i := range moves {
		history[i] = porcupine.Operation{ClientId: i, Input: &moves[i], Call: moves[i].call, Return: moves[i].ret}
	}
	left := min(stepsOfPartition, *steps)
	granted := left
	result := porcupine.CheckOperations(model[S](init, &left), history)
	*steps -= granted - max(left, 0)
	switch {
	case result:
		return explained, nil
	case left <= 0:
		return undecided, blame(init, moves, history)
	}
	return unexplained, blame(init, moves, history)
}

// model stops a search that has spent its steps by allowing none any more: it ends
// at once, without an order, and the caller sees that left is used up. porcupine
// takes the steps of one partition one after the other, so left needs no lock.
func model[S comparable](init S, left *int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return init },
		StepContext: func(_ context.Context, state, input, _ any) (bool, any) {
			if *left--; *left <= 0 {
				return false, state
			}
			next, ok := input.(*move[S]).step(state.(S))
			return ok, next
		},
	}
}

// blame searches again, a little, and keeps the longest beginning of an order: only
// failures pay for it.
func blame[S comparable](init S, moves []move[S], history []porcupine.Operation) *move[S] {
	left := stepsOfBlame
	_, info := porcupine.CheckOperationsVerbose(model[S](init, &left), history, 0)
	placed := map[int]bool{}
	for _, partition := range info.PartialLinearizations() {
		var longest []int
		for _, p := range partition {
			// They come in no order; of two, the same one every time.
			if len(p) > len(longest) || len(p) == len(longest) && slices.Compare(p, longest) < 0 {
				longest = p
			}
		}
		for _, i := range longest {
			placed[i] = true
		}
	}
	var stuck *move[S]
	for i := range moves {
		if !placed[i] && (stuck == nil || moves[i].ret < stuck.ret) {
			stuck = &moves[i]
		}
	}
	return stuck
}
