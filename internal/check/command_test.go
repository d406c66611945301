package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// shop is the real program: exit codes are those of a process, and what a remedy says
// is typed as it stands.
var shop string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "leeway-check-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shop = filepath.Join(dir, "shop")
	if out, err := exec.Command("go", "build", "-o", shop, "example.com/leeway/cmd/shop").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return dbtest.Run(m)
}

// checked is a cluster under "shop check".
type checked struct {
	*dbtest.Env
	t *testing.T
}

func newChecked(t *testing.T, config pgcluster.Config) checked {
	t.Helper()
	return checked{dbtest.NewOn(t, config), t}
}

// verdict is what one look said.
type verdict struct {
	text     string
	code     int
	agree    bool // the text and the JSON have the same verdict, and exit code
	Status   string
	Nodes    []map[string]any
	Findings []struct {
		Code, Severity, Node, Cause string
		Remedy                      []string
	}
}

func (v verdict) codes() []string {
	var codes []string
	for _, f := range v.Findings {
		codes = append(codes, strings.TrimSuffix(f.Code+" "+f.Node, " "))
	}
	return codes
}

// command runs the program in a shell.
func command(t *testing.T, line string, env ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// look runs check for programs, and then for people.
func (c checked) look(flags string) (v verdict) {
	c.t.Helper()
	line := shop + " check --dir " + c.Cluster.Dir() + " " + flags
	out, code := command(c.t, line+" --json")
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		c.t.Fatalf("%s --json: %v, %s", line, err, out)
	}
	v.text, v.code = command(c.t, line)
	v.agree = v.code == code && strings.HasSuffix(v.text, "\nStatus: "+v.Status+"\n")
	return v
}

// finds looks until the findings are those: a fault that was made, or mended, may take
// a moment to be felt. Then the text must tell the same, with that exit code, within
// the width of a terminal.
func (c checked) finds(flags string, code int, want ...string) verdict {
	c.t.Helper()
	slices.Sort(want)
	var v verdict
	for deadline := time.Now().Add(dbtest.Limit); ; {
		v = c.look(flags)
		got := slices.Sorted(slices.Values(v.codes()))
		if v.agree && v.code == code && slices.Equal(got, want) {
			break
		} else if time.Now().After(deadline) {
			c.t.Fatalf("found %q, exit %d, want %q, exit %d:\n%s", got, v.code, want, code, v.text)
		}
	}
	for _, f := range v.Findings {
		head := strings.ToUpper(f.Severity) + " " + f.Code
		if f.Node != "" {
			head += ", " + f.Node
		}
		if !strings.Contains(v.text, "\n"+head+"\n") || len(f.Cause) == 0 || len(f.Remedy) == 0 {
			c.t.Errorf("%+v is not told, or lacks its cause or remedy:\n%s", f, v.text)
		}
		for _, line := range f.Remedy {
			if !strings.Contains(v.text, "\n    "+line+"\n") {
				c.t.Errorf("the remedy %q is not told:\n%s", line, v.text)
			}
		}
	}
	for line := range strings.Lines(v.text) {
		if !strings.HasPrefix(line, "    ") && utf8.RuneCountInString(line) > 81 { // with its newline
			c.t.Errorf("wider than 80 columns: %s", line)
		}
	}
	return v
}

// says wants each part in the text, whose lines may be broken anywhere.
func (v verdict) says(t *testing.T, parts ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(v.text), " ")
	for _, part := range parts {
		if !strings.Contains(flat, part) {
			t.Errorf("no %q in:\n%s", part, v.text)
		}
	}
}

// remedy types what is said against a finding.
func (c checked) remedy(v verdict, finding string) {
	c.t.Helper()
	i := slices.Index(v.codes(), finding)
	if i < 0 {
		c.t.Fatalf("no finding %s in:\n%s", finding, v.text)
	}
	for _, line := range v.Findings[i].Remedy {
		if out, code := command(c.t, line); code != 0 {
			c.t.Fatalf("%s: exit %d, %s", line, code, out)
		}
	}
}

func (c checked) good() verdict {
	c.t.Helper()
	return c.finds("", 0)
}

// exec runs statements as superuser, each on its own.
func (c checked) exec(n *pgcluster.Node, statements ...string) {
	c.t.Helper()
	conn := c.Admin(c.t, n)
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			c.t.Fatalf("%s on %s: %v", sql, n.Name(), err)
		}
	}
	conn.Close(context.Background())
}

// write puts some kilobytes into the primary's log.
func (c checked) write(kilobytes string) {
	c.t.Helper()
	primary, err := c.Cluster.Primary(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	c.exec(primary, "SET synchronous_commit = local", "SELECT pg_logical_emit_message(true, 'leeway', repeat('x', 1024 * "+kilobytes+"))")
}

// matches wants a part of the text.
func matches(t *testing.T, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("no %s in:\n%s", pattern, text)
	}
}

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

func TestCheckOfAHealthyCluster(t *testing.T) {
	c := checked{dbtest.New(t), t}
	v := c.good()
	if v.Status != "GOOD" {
		t.Errorf("status %s", v.Status)
	}
	for _, pattern := range []string{ // some bytes are always on their way
		`(?m)^primary +primary +1 +- +- +- +- +- +-$`,
		`(?m)^replica-1 +replica +1 +streaming +quorum +running +\d+ B +\d+ ms +yes$`,
		`(?m)^replica-2 +replica-2 +streaming +\S+/\S+ +\S+/\S+ +\S+/\S+$`,
		`(?m)^replica-2 +replica_2 +\d+ B +0 +none$`,
	} {
		matches(t, v.text, pattern)
	}
	// One look takes well below a second. What is asserted is that it does not wait
	// for anything: --wait and --timeout are both longer than this.
	if took := c.tookMS("--wait 30s --timeout 30s"); took > 10_000 {
		t.Errorf("a look at a healthy cluster took %v ms", took)
	}
}

func (c checked) tookMS(flags string) float64 {
	c.t.Helper()
	var v struct {
		TookMS float64 `json:"took_ms"`
	}
	out, _ := command(c.t, shop+" check --json --dir "+c.Cluster.Dir()+" "+flags)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("one look: %v ms", v.TookMS)
	return v.TookMS
}

// The longest query is told by its session, and not by its text.
func TestCheckTellsOfTheLongestQuery(t *testing.T) {
	c := checked{dbtest.New(t), t}
	standby := c.Admin(t, c.Replicas()[0])
	if _, err := standby.Exec(t.Context(), "BEGIN; SELECT 'hunter2'"); err != nil {
		t.Fatal(err)
	}
	v := c.good()
	matches(t, v.text, `(?m)^replica-1 .* \S+ m?s, pid \d+, idle in transaction$`)
	if strings.Contains(v.text, "hunter2") {
		t.Error("the text of a query is shown")
	}
}

// By SHOP_NODES, without a local cluster, the remedies are those for any server.
func TestCheckByAddress(t *testing.T) {
	c := checked{dbtest.New(t), t}
	var nodes []string
	for _, n := range c.Cluster.Nodes() {
		nodes = append(nodes, n.Name()+"="+n.DSN("shop_ro"))
	}
	env := []string{"SHOP_NODES=" + strings.Join(nodes, ",")}
	out, code := command(t, shop+" check", env...)
	if code != 0 || !strings.Contains(out, "Status: GOOD") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	c.Pause(t, c.Replicas()[0])
	out, code = command(t, shop+" check", env...)
	if code != 1 || !strings.Contains(out, "\n    on replica-1: SELECT pg_wal_replay_resume();\n") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// What cannot be asked is a finding, and no part of a DSN is in it.
func TestCheckKeepsSecrets(t *testing.T) {
	c := checked{dbtest.New(t), t}
	addr := c.Primary().Addr()
	for name, tt := range map[string]struct{ dsn, want string }{
		"refused":  {"postgres://canary:canary@127.0.0.1:1/canary", "it refuses connections"},
		"password": {"postgres://shop_ro:canary@" + addr + "/shop", "it refuses the user or the password"},
		"user":     {"postgres://canary:canary@" + addr + "/shop", "it refuses the user or the password"},
		"database": {strings.Replace(c.Primary().DSN("shop_ro"), "/shop?", "/canary?", 1), "it has no such database"},
		"host":     {"postgres://canary:canary@canary.invalid/canary", "its host is not known"},
		"tls":      {strings.Replace(c.Primary().DSN("shop_ro"), "sslmode=disable", "sslmode=require&application_name=canary", 1), "no connection can be made to it"},
		"file":     {"host=canary.invalid user=canary password=canary sslrootcert=/no/such/ca.crt dbname=canary", "its DSN names a file that cannot be read: open /no/such/ca.crt"},
	} {
		for _, flags := range []string{"", " --json"} {
			out, code := command(t, shop+" check"+flags, "SHOP_NODES=node-1="+tt.dsn, "SHOP_READ_USER=", "SHOP_CLUSTER_DIR=")
			if code != 2 || !strings.Contains(strings.Join(strings.Fields(out), " "), tt.want) {
				t.Errorf("%s%s: exit %d, want %q:\n%s", name, flags, code, tt.want, out)
			}
			if strings.Contains(out, "canary") {
				t.Errorf("%s%s repeats a part of the DSN:\n%s", name, flags, out)
			}
		}
	}
}

// What was not looked at is not good: a script must not take it for a warning.
func TestCheckThatLooksAtNothingIsCritical(t *testing.T) {
	for _, flags := range []string{"", "--dir " + t.TempDir(), "--nodes node-1=postgres://u:canary@:x/"} {
		out, code := command(t, shop+" check "+flags, "SHOP_NODES=", "SHOP_CLUSTER_DIR=")
		if code != 2 || strings.Contains(out, "Status:") || strings.Contains(out, "canary") {
			t.Errorf("check %s: exit %d\n%s", flags, code, out)
		}
	}
}

// TestCheckWatch: a standby whose replay is paused cannot be proven to be as fresh as
// it is in one look; over some it can, and then by how much it gets older.
func TestCheckWatch(t *testing.T) {
	c := checked{dbtest.New(t), t}
	var out buffer
	cmd := exec.CommandContext(t.Context(), shop, "check", "--watch", "--every", "20ms", "--wait", "20ms", "--budget", "700ms", "--dir", c.Cluster.Dir())
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	dbtest.Eventually(t, "two looks", func() bool { return strings.Count(out.String(), "Status: GOOD") > 1 })
	c.Pause(t, c.Replicas()[0])
	c.write("1")
	over := regexp.MustCompile(`replica-1 may be (\S+ m?s) behind, more than the\s+budget of 700 ms`)
	dbtest.Eventually(t, "the bound exceeds the budget", func() bool { return over.MatchString(out.String()) })
	c.Resume(t, c.Replicas()[0])
	said := len(out.String())
	dbtest.Eventually(t, "all is well again", func() bool { return strings.Contains(out.String()[said:], "Status: GOOD") })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if text := out.String(); strings.Contains(text, "\x1b") || !strings.HasSuffix(text, "Status: GOOD\n") {
		t.Errorf("what is no terminal got more than text, or the end was torn:\n%s", text[max(0, len(text)-2000):])
	}
}

func TestCheckWatchInJSON(t *testing.T) {
	c := checked{dbtest.New(t), t}
	out, _ := command(t, "timeout -s INT 20 "+shop+" check --watch --every 1ms --json --dir "+c.Cluster.Dir()+" | head -n 3")
	lines := bytes.Split(bytes.TrimSpace([]byte(out)), []byte("\n"))
	for _, line := range lines {
		var v verdict
		if err := json.Unmarshal(line, &v); err != nil || v.Status != "GOOD" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines, want 3", len(lines))
	}
}

// --local finds what make demo has started, if that is not ambiguous.
func TestCheckOfTheLocalCluster(t *testing.T) {
	dir := t.TempDir()
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o711); err != nil { // run by root, the servers are another user's
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", dir)
	line := shop + " check --local"
	for _, want := range []string{"no temporary cluster runs here", "WARNING asynchronous", "several clusters run here, choose one with --dir:\n  " + dir} {
		out, code := command(t, line, "SHOP_CLUSTER_DIR=")
		if !strings.Contains(out, want) || (code == 2) == strings.Contains(out, "Status:") {
			t.Errorf("exit %d, want %q:\n%s", code, want, out)
		}
		config := dbtest.Config()
		config.Replicas = 0
		cluster, err := pgcluster.Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
	}
}
