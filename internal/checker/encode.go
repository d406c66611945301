package checker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// entry is one line of a kept history: exactly one field is set. The first is the
// head. A line for each operation keeps the file fit for grep, and a history of
// any length readable with one line in memory.
type entry struct {
	Head  *head  `json:"history,omitempty"`
	Op    *Op    `json:"op,omitempty"`
	Stamp *Stamp `json:"stamp,omitempty"`
	Node  *Node  `json:"node,omitempty"`
}

// head is the first line. It counts what follows: a file that was cut short would otherwise be a shorter
// history, and pass.
type head struct {
	Format   int            `json:"format"`
	Deadline time.Duration  `json:"deadline"`
	Slack    time.Duration  `json:"slack"`
	Stock    map[string]int `json:"stock"`
	Ops      int            `json:"ops"`
	Stamps   int            `json:"stamps"`
	Nodes    int            `json:"nodes"`
}

const format = 1

// Encode writes the history as lines of JSON. Instants are whole nanoseconds and
// come back exactly; nil and empty lists and maps are not told apart.
func (h History) Encode(w io.Writer) error {
	out := json.NewEncoder(w)
	err := out.Encode(entry{Head: &head{
		format, h.Deadline, h.Slack, h.Stock, len(h.Ops), len(h.Stamps), len(h.Nodes),
	}})
	for i := 0; err == nil && i < len(h.Ops); i++ {
		err = out.Encode(entry{Op: &h.Ops[i]})
	}
	for i := 0; err == nil && i < len(h.Stamps); i++ {
		err = out.Encode(entry{Stamp: &h.Stamps[i]})
	}
	for i := 0; err == nil && i < len(h.Nodes); i++ {
		err = out.Encode(entry{Node: &h.Nodes[i]})
	}
	if err != nil {
		return fmt.Errorf("encode history: %w", err)
	}
	return nil
}

// Decode reads what Encode wrote. A field that it does not know is an error: a
// newer history may hold what this checker would fail to check.
func Decode(r io.Reader) (History, error) {
	in := json.NewDecoder(r)
	in.DisallowUnknownFields()
	var first entry
	if err := in.Decode(&first); err != nil {
		return History{}, fmt.Errorf("decode history: %w", err)
	}
	at := first.Head
	if at == nil || at.Format != format {
		return History{}, fmt.Errorf("decode history: the first line is not a head of format %d", format)
	}
	h := History{Deadline: at.Deadline, Slack: at.Slack, Stock: at.Stock}
	for {
		var next entry
		err := in.Decode(&next)
		switch {
		case errors.Is(err, io.EOF):
			return h, at.whole(h)
		case err != nil:
			return History{}, fmt.Errorf("decode history: %w", err)
		case next.Op != nil:
			h.Ops = append(h.Ops, *next.Op)
		case next.Stamp != nil:
			h.Stamps = append(h.Stamps, *next.Stamp)
		case next.Node != nil:
			h.Nodes = append(h.Nodes, *next.Node)
		default:
			return History{}, errors.New("decode history: a line that is neither operation, stamp nor node")
		}
	}
}

// whole compares the head's counts with what was read.
func (at head) whole(h History) error {
	if len(h.Ops) != at.Ops || len(h.Stamps) != at.Stamps || len(h.Nodes) != at.Nodes {
		return fmt.Errorf("decode history: %d operations, %d stamps and %d nodes; the head says %d, %d and %d",
			len(h.Ops), len(h.Stamps), len(h.Nodes), at.Ops, at.Stamps, at.Nodes)
	}
	return nil
}
