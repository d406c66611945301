package main

import (
	"bytes"
	_ "embed" // for the document
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// Figure is what was measured: the median of the rounds, and how far they were apart.
type Figure struct {
	Name    string   `json:"name"`
	Unit    string   `json:"unit,omitempty"` // "" is a ratio
	Median  float64  `json:"median"`
	Min     float64  `json:"min"`
	Max     float64  `json:"max"`
	AtLeast *float64 `json:"at_least,omitempty"` // the target
	AtMost  *float64 `json:"at_most,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// Held tells whether the median is where it should be.
func (f Figure) Held() bool {
	return (f.AtLeast == nil || f.Median >= *f.AtLeast) && (f.AtMost == nil || f.Median <= *f.AtMost)
}

// Target is what the figure should be, and whether it is.
func (f Figure) Target() string {
	said := map[bool]string{true: "held", false: "**missed**"}[f.Held()]
	switch {
	case f.AtLeast != nil:
		return fmt.Sprintf("at least %g: %s", *f.AtLeast, said)
	case f.AtMost != nil:
		return fmt.Sprintf("at most %g: %s", *f.AtMost, said)
	}
	return ""
}

// Value is the median with its unit.
func (f Figure) Value() string { return strings.TrimSpace(number(f.Median) + " " + f.Unit) }

// Spread is from the lowest to the highest round, if there was more than one.
func (f Figure) Spread() string {
	if f.Min == f.Max {
		return ""
	}
	return number(f.Min) + " to " + number(f.Max)
}

func number(v float64) string {
	switch {
	case v == 0 || v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Part is what one part of a run has measured.
type Part struct {
	name    string
	Date    string   `json:"date"`
	Commit  string   `json:"commit"`
	Load    string   `json:"load"` // average of the minute before: of others, if it is not small
	Seconds float64  `json:"seconds"`
	Rounds  int      `json:"rounds"`
	Figures []Figure `json:"figures"`
}

// Results are everything that is in the document. A run of some parts leaves the others as
// they were.
type Results struct {
	Machine  string           `json:"machine"`
	Versions string           `json:"versions"`
	Parts    map[string]*Part `json:"parts"`
}

const (
	resultsFile  = "benchmarks/results.json"
	documentFile = "benchmarks.md"
)

func readResults(docs string) (Results, error) {
	r := Results{Parts: map[string]*Part{}}
	text, err := os.ReadFile(filepath.Join(docs, resultsFile))
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// write keeps the results and makes the document of them.
func (r Results) write(docs string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	document, err := r.document()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, filepath.Dir(resultsFile)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(docs, resultsFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, documentFile), document, 0o644)
}

//go:embed benchmarks.md.tmpl
var documentText string

// document is the explanation, written by hand, with the figures in it.
func (r Results) document() ([]byte, error) {
	t, err := template.New("benchmarks").Funcs(template.FuncMap{"table": r.table}).Parse(documentText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, r)
	return b.Bytes(), err
}

func (r Results) table(name string) string {
	p := r.Parts[name]
	if p == nil {
		return fmt.Sprintf("Not measured yet: `make bench ARGS='--only %s'`.", name)
	}
	var b strings.Builder
	b.WriteString("| | median | rounds | target | |\n|---|---|---|---|---|\n")
	for _, f := range p.Figures {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Name, f.Value(), f.Spread(), f.Target(), f.Detail)
	}
	rounds := "one round"
	if slices.ContainsFunc(p.Figures, func(f Figure) bool { return f.Min != f.Max }) {
		rounds = fmt.Sprintf("%d rounds", p.Rounds)
	}
	fmt.Fprintf(&b, "\n`make bench ARGS='--only %s'`, commit %s, %s: %s, %.0f s. Load average when it began: %s.",
		name, p.Commit, p.Date, rounds, p.Seconds, p.Load)
	return b.String()
}

// missed are the figures that should be other than they are.
func (r Results) missed() (all []string) {
	for _, part := range parts {
		if p := r.Parts[part.name]; p != nil {
			for _, f := range p.Figures {
				if !f.Held() {
					all = append(all, fmt.Sprintf("%s, %s: %s, %s", part.name, f.Name, f.Value(), f.Target()))
				}
			}
		}
	}
	return all
}
