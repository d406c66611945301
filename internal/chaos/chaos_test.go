package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/leeway/internal/shoppers"
)

// The short form of "make chaos": the faults and mutants that are marked so.
func TestShort(t *testing.T) {
	if os.Getenv("LEEWAY_CHAOS") == "done" {
		t.Skip("all of it has just been run, as LEEWAY_CHAOS says")
	}
	var out bytes.Buffer
	ok, err := run(t.Context(), options{
		Short: true, Mutants: true, Faults: true, Seed: 1, Lanes: 2, Dir: t.ArtifactDir(),
	}, &out)
	if !ok || err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// A mutant whose lines are no longer in the source would be no mutant.
func TestEveryMutantStillApplies(t *testing.T) {
	root, err := shoppers.ModuleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		s, err := find(m.scenario)
		if err != nil {
			t.Error(err)
		}
		if len(m.edits) == 0 && m.async == s.async {
			t.Errorf("%s changes nothing", m.name)
		}
		if len(m.edits) == 0 {
			continue
		}
		if _, err := writeOverlay(root, t.TempDir(), m.edits); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// The table and the fault matrix of the documents are one list.
func TestEveryRowOfTheFaultMatrixIsThere(t *testing.T) {
	const want = "1 2a 2b 2c 3 4a 4b 4c 5 6 7 8 8b 9a 9b 10 11 12 13 15 17 18 19 20 21" // 14 and 16: see ARCHITECTURE.md
	rows := map[string]bool{}
	for _, s := range matrix {
		for row := range strings.SplitSeq(s.rows, ", ") {
			rows[row] = true
		}
	}
	for row := range strings.SplitSeq(want, " ") {
		if !rows[row] {
			t.Errorf("row %s is not in the matrix", row)
		}
	}
}

// What the document says is behind a guarantee is there.
func TestTheGuaranteesNameWhatThereIs(t *testing.T) {
	root, err := shoppers.ModuleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := string(text)
	for _, m := range mutants {
		if !strings.Contains(document, m.name) {
			t.Errorf("the mutant %q is behind no guarantee", m.name)
		}
	}
	tests := testNames(t, root)
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(document, -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, name := range named {
		if !tests[name] {
			t.Errorf("there is no test %s", name)
		}
	}
}

func testNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			names[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
