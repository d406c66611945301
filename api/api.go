// Package api is the published contract of the shop's HTTP surface: openapi.yaml,
// written by hand, and what is made of it, openapi.json, the docs page, the pages of
// the problems, and the typed client in api/client.
//
// What holds the contract to the program is in the tests of cmd/shop: each route is an
// operation, each answer of the test suite is one that the contract declares. This
// package itself checks nothing at run time: an answer that breaks the contract is
// sent all the same.
package api

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// YAML is the contract as it was written.
//
//go:embed openapi.yaml
var YAML []byte

// JSON is the same contract; `make generate` makes it.
//
//go:embed openapi.json
var JSON []byte

//go:embed docs templates
var files embed.FS

// A Problem is what the contract says of a code.
type Problem struct {
	Code   string `json:"-"`
	Status int    `json:"status"`
	Means  string `json:"means"`
	Do     string `json:"do"`
}

// Title is the code in words.
func (p Problem) Title() string {
	words := strings.ReplaceAll(p.Code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// problems reads x-problems, by status and code.
func problems(contract []byte) ([]Problem, error) {
	var doc struct {
		Problems map[string]Problem `json:"x-problems"`
	}
	if err := json.Unmarshal(contract, &doc); err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	list := make([]Problem, 0, len(doc.Problems))
	for code, p := range doc.Problems {
		p.Code = code
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), strings.Compare(a.Code, b.Code))
	})
	return list, nil
}
