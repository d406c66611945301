package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/lab"
	"example.com/leeway/internal/pgcluster"
)

// buffer is written by the program while the test reads it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// The demo says what to try, what it says works, and nothing is left of it.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out buffer
	ctx, interrupt := context.WithCancel(context.Background())
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--products", "50"}, &app{&out, &out})
	}()
	dbtest.Started(t, "the demo tells its address", func() bool { return strings.Contains(out.String(), "Ctrl-C here") })
	page := find(t, out.String(), `http://\S+/v1/products/[a-z0-9-]+`)
	dir := find(t, out.String(), `cluster pause --dir (\S+)`)
	admin, key := find(t, out.String(), `SHOP_ADMIN_URL=http://(\S+)`), find(t, out.String(), `SHOP_ADMIN_KEY=(\w+)`)
	theContract(t).serveAdmins(t, admin)
	product := "http://" + admin + "/v1/admin/products/" + send(t, "GET", page, nil).field("id")
	if a := send(t, "GET", product, nil, "X-API-Key", key); a.status != 200 || a.header.Get("ETag") != `"1"` || a.header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("%s: %d %s", product, a.status, a.body)
	}
	if a := send(t, "GET", product, nil); a.status != 401 {
		t.Errorf("%s without a key: %d", product, a.status)
	}
	dbtest.Eventually(t, "a replica serves the page", func() bool { return fromReplica(send(t, "GET", page, nil)) })
	state, labKey := find(t, out.String(), `(http://\S+)/lab#key=`)+lab.ControlsPath+"state", find(t, out.String(), `/lab#key=(\w+)`)
	for key, status := range map[string]int{labKey: 200, "": 403} {
		if _, a := exchange(t, http.DefaultClient, "GET", state, nil, lab.KeyHeader, key); a.status != status {
			t.Errorf("%s with the key %q: %d %s", state, key, a.status, a.body)
		}
	}

	var looked bytes.Buffer
	if code := run(ctx, []string{"check", "--dir", dir}, &app{&looked, &looked}); code != 0 || !strings.HasSuffix(looked.String(), "\nStatus: GOOD\n") {
		t.Errorf("shop check: exit %d, %s", code, looked.String())
	}
	for _, verb := range []string{"pause", "status", "resume"} {
		var said bytes.Buffer
		if code := run(ctx, []string{"cluster", verb, "--dir", dir}, &app{&said, &said}); code != 0 || !strings.Contains(said.String(), "replica-2") {
			t.Errorf("shop cluster %s: exit %d, %s", verb, code, said.String())
		}
	}
	// What fails by the shop's own fault is in its log, with the trace of the client.
	cluster, err := pgcluster.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := execOn(ctx, cluster.Nodes()[0], "REVOKE INSERT ON carts FROM shop_rw"); err != nil {
		t.Fatal(err)
	}
	shop, trace := find(t, out.String(), `(http://\S+)/lab#key=`), strings.Repeat("a", 32)
	a := send(t, "POST", shop+"/v1/carts", strings.NewReader(`{}`), "traceparent", "00-"+trace+"-"+strings.Repeat("1", 16)+"-01")
	if failed := regexp.MustCompile(`level=ERROR msg="request failed" .*trace_id=` + trace); a.status != 500 || !failed.MatchString(out.String()) {
		t.Errorf("POST /v1/carts: %d, and the log says\n%s", a.status, out.String())
	}
	interrupt()
	if code := <-exit; code != 0 {
		t.Errorf("exit %d after Ctrl-C:\n%s", code, out.String())
	}
	keepsSecrets(t, out.String()) // but for the key of the tour, which it made to be told
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// A folder that is kept is opened again with its orders and its catalog, and
// the tour speaks of a product that is in it.
func TestDemoReopensItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	for parent := filepath.Dir(dir); parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o711); err != nil { // run by root, the servers are another user's
			t.Fatal(err)
		}
	}
	var pages []string
	for _, products := range []string{"20", "30"} {
		var out buffer
		ctx, interrupt := context.WithCancel(context.Background())
		exit := make(chan int)
		go func() {
			exit <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--products", products, "--replicas", "0", "--dir", dir}, &app{&out, &out})
		}()
		dbtest.Started(t, "the demo tells its address", func() bool { return strings.Contains(out.String(), "Ctrl-C here") })
		page := find(t, out.String(), `http://\S+/v1/products/[a-z0-9-]+`)
		if a := send(t, "GET", page, nil); a.status != 200 {
			t.Errorf("%s: %d", page, a.status)
		}
		pages = append(pages, filepath.Base(page))
		interrupt()
		if code := <-exit; code != 0 {
			t.Errorf("exit %d:\n%s", code, out.String())
		}
	}
	if pages[0] != pages[1] {
		t.Errorf("the catalog of %v was not kept", pages)
	}
}

func TestDemoSaysThatItsPortIsTaken(t *testing.T) {
	listener, err := listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var out buffer
	code := run(t.Context(), []string{"demo", "--addr", listener.Addr().String()}, &app{&out, &out})
	if code != 1 || !strings.Contains(out.String(), "--addr") || strings.Contains(out.String(), "initdb") {
		t.Errorf("exit %d, want 1, a remedy, and no server started:\n%s", code, out.String())
	}
}

// find returns the first group of the pattern, or all of the match.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	return match[len(match)-1]
}
