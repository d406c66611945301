package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestTheRunbooksCommandsExist: nobody should learn at night that they do not.
func TestTheRunbooksCommandsExist(t *testing.T) {
	t.Setenv("SHOP_CLUSTER_DIR", t.TempDir())
	parse := func(command string) error {
		parser, err := kong.New(new(cli))
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse(strings.Fields(command))
		if err != nil && strings.Contains(err.Error(), `expected "<node>"`) {
			return nil // it is spoken of, not typed
		}
		return err
	}
	found := 0
	for _, document := range []string{"../../docs/failover.md", "../../README.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`shop (cluster [a-z0-9 -]+)`").FindAllStringSubmatch(string(text), -1) {
			found++
			if err := parse(match[1]); err != nil {
				t.Errorf("%s: shop %s: %v", document, match[1], err)
			}
		}
	}
	if found < 8 || parse("cluster demote primary") == nil {
		t.Errorf("only %d commands were found, or anything is one", found)
	}
}
