package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/leeway/internal/dbtest"
)

// docs/tour.sh, with the line that the demo prints for it: what a newcomer types works,
// and shows what it says.
func TestTour(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: the tour cannot be shown to work without it; on Debian, apt-get install %s", err, program)
		}
	}
	var out buffer
	ctx, interrupt := context.WithCancel(context.Background())
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--products", "500"}, &app{&out, &out})
	}()
	defer func() { <-exit }()
	defer interrupt()
	dbtest.Started(t, "the demo tells its address", func() bool { return strings.Contains(out.String(), "Ctrl-C here") })
	line := find(t, out.String(), `SHOP_URL=.* docs/tour\.sh`)
	program := buildShop(t)

	said, err := takeTour(t, line, "SHOP_PROGRAM="+program)
	if err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	inOrder(t, said,
		`200 +Data-Source: replica;name="replica-\d";bound-ms=\d+\n   departments +.*Furniture`,
		`searched +fuzzy\n   you meant +leather chair\n   found +.*Leather .*Chair, from \d+\.\d\d EUR\n`,
		`option.color +\d+ (?s:.*?)option=color:`,
		`picked `,
		`201 +Data-Source: primary;reason=policy\n   SHOPPER +[\w-]{43}\n   token +[\w-]+\n`,
		`cluster pause`, `200 +Data-Source: primary;reason=token\n   in the cart  3\n`, `cluster resume`,
		`order +LW-\d+, pending_payment`, `The same again:`, `order +LW-\d+, Idempotent-Replayed: true`,
		`left `, `order +LW-\d+, paid`, `/v1/orders `, `orders +LW-\d+, paid`, `order +LW-\d+, cancelled`, `left `,
		`product +draft, ETag: "1"`, `in stock +12 of ash`, `product +active, ETag: "2"`, `412 +Data-Source: primary;reason=policy\n   too late +precondition_failed`,
		`listed +Walking Stick, from 29.95 EUR`, `found +Walking Stick`, `That was the tour`,
	)
	counted, chosen := find(t, said, `option.color +(\d+) `), find(t, said, `\n   \w+ +(\d+) products`)
	if counted != chosen {
		t.Errorf("the facet promised %s products, and %s are left", counted, chosen)
	}
	stock := find(t, said, `of which there are (\d+)`)
	left := regexp.MustCompile(`left +(\d+) of `+stock).FindAllStringSubmatch(said, -1)
	if len(left) != 2 || left[0][1] == stock || left[1][1] != stock {
		t.Errorf("of %s there are %v: want two less after the checkout, and all of them after the cancellation", stock, left)
	}
	if key := find(t, line, `SHOP_ADMIN_KEY=(\S+)`); strings.Contains(said, key) {
		t.Error("the key is on the screen")
	}

	// Again, as somebody who has only read the README; and with what can go wrong.
	url, admin := find(t, line, `SHOP_URL=\S+`), find(t, line, `SHOP_ADMIN_URL=\S+`)
	for _, test := range []struct{ line, says string }{
		{url + " docs/tour.sh", `Set SHOP_ADMIN_KEY (?s:.*)That was the tour`},
		{url + " " + admin + " SHOP_ADMIN_KEY=wrong docs/tour.sh", `tour: \S+/v1/admin/categories answered 401, not 201: {.*unauthorized`},
		{"SHOP_URL=http://127.0.0.1:1 docs/tour.sh", `tour: no answer from http://127.0.0.1:1/v1/categories\S+ Is the shop running\? make demo`},
	} {
		said, err := takeTour(t, test.line)
		if fails := strings.Contains(test.says, "tour: "); (err != nil) != fails || !regexp.MustCompile(test.says).MatchString(said) {
			t.Errorf("%s: %v, want %q:\n%s", test.line, err, test.says, said)
		}
	}
}

// takeTour types the line in the project's folder.
func takeTour(t *testing.T, line string, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*dbtest.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// buildShop returns the program as a file, for those who start it themselves.
func buildShop(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shop")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	return program
}

func inOrder(t *testing.T, text string, patterns ...string) {
	t.Helper()
	rest := text
	for _, p := range patterns {
		at := regexp.MustCompile(p).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no %s after what comes before it, in:\n%s", p, text)
		}
		rest = rest[at[1]:]
	}
}
