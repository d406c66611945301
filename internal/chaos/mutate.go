package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/leeway/internal/shoppers"
)

// A mutant is the shop with one of its promises taken out. It is compiled from the
// real sources with a few lines replaced (go build -overlay), so that neither the
// program nor its readers ever meet it, and no client can reach it. The scenario
// that is played with it must turn the named check red.
type mutant struct {
	name     string
	scenario string // by its name in the matrix
	check    string // an invariant of internal/checker, or a check of the scenario
	edits    []edit
	short    bool   // part of the short run
	async    bool   // the cluster's replication
	prepare  string // SQL before the shop starts
}

// An edit replaces what stands exactly once in a file.
type edit struct{ file, old, new string }

// build compiles the shop, with the edits of a mutant if there are any.
func build(ctx context.Context, root, binary string, edits []edit) error {
	if len(edits) == 0 {
		return shoppers.Build(ctx, root, binary)
	}
	overlay, err := writeOverlay(root, binary+".src", edits)
	if err != nil {
		return err
	}
	return shoppers.Build(ctx, root, binary, "-overlay", overlay)
}

// writeOverlay writes the edited files beside each other and the map that tells
// the compiler of them.
func writeOverlay(root, dir string, edits []edit) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	texts := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, filepath.FromSlash(e.file))
		text, ok := texts[path]
		if !ok {
			source, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(source)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s has %d times what is to be replaced, not once:\n%s", e.file, n, e.old)
		}
		texts[path] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		mutated := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), string(filepath.Separator), "_"))
		if err := os.WriteFile(mutated, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[path] = mutated
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o644)
}
