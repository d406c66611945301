package replicationtour

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each statement of docs/replication.md names its test, and none of the tests is missing
// there.
func TestTheDocumentNamesEveryTest(t *testing.T) {
	document, err := os.ReadFile("../../docs/replication.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("[0-9]_*_test.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	there := names(`(?m)^func ((?:Test|Benchmark)\w+)\([tb] `, source.String())
	named := names(`\b((?:Test|Benchmark)[A-Z]\w+)`, string(document))
	for name := range there {
		if !named[name] {
			t.Errorf("the document does not name %s", name)
		}
	}
	for name := range named {
		if !there[name] {
			t.Errorf("the document names %s, which is not there", name)
		}
	}
}

func names(pattern, text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return found
}
