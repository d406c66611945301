package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/leeway/internal/dbtest"
)

// A file that has what the catalog has is refused whole, and each such line is named.
func TestSeedNamesTheLinesThatAreTaken(t *testing.T) {
	env := dbtest.New(t)
	file := filepath.Join(t.TempDir(), "catalog.csv")
	seed := func(lines string) (code int, said string) {
		t.Helper()
		text := "product_slug,product_name,description,category_path,sku,price,stock\n" + lines
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := flagsOf(env.Config().Nodes)
		var out buffer
		code = run(t.Context(), []string{
			"seed", "--add", "--file", file, "--nodes", flags.Nodes, "--read-user", flags.ReadUser, "--read-password", flags.ReadPassword,
		}, &app{&out, &out})
		return code, out.String()
	}
	if code, said := seed("oak,Oak,,Chairs,OAK-1,1.00,1\n"); code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	code, said := seed("elm,Elm,,Chairs,ELM-1,1.00,1\nelm,Elm,,Tables,ELM-2,1.00,1\n")
	if code != 1 || !strings.Contains(said, file+":3:") {
		t.Errorf("a file that contradicts itself: exit %d: %s", code, said)
	}
	code, said = seed("elm,Elm,,Chairs,OAK-1,1.00,1\noak,Oak,,Chairs,OAK-2,1.00,1\n")
	if code != 1 || !strings.Contains(said, file+`:2: SKU "OAK-1" is already in the catalog`) ||
		!strings.Contains(said, file+`:3: product_slug "oak" is already in the catalog`) || strings.Contains(said, "SQLSTATE") {
		t.Errorf("exit %d: %s", code, said)
	}
	var products int
	err := env.Admin(t, env.Primary()).QueryRow(t.Context(), "SELECT count(*) FROM products").Scan(&products)
	if err != nil || products != 1 {
		t.Errorf("%d products after two refusals, %v; want 1", products, err)
	}
}
