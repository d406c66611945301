// Package compose tests what docker-compose.yml is made of, without Docker: the scripts
// run against PostgreSQL's own programs, the files go through Compose's own loader, and
// the program runs in an empty root. What needs an engine is named, loudly, as not run.
package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/guardian"
	"example.com/leeway/internal/pgcluster"
)

// servers are those of docker-compose.yml, each with a folder for its volume.
type servers struct {
	dir   string
	bin   string
	tools string // what stands in for the image
	as    pgcluster.Account
	nodes map[string]*server
	env   []string // of every node, beside its own
}

type server struct {
	*servers
	name string
	dir  string
	port int
	cmd  *exec.Cmd
	gone chan struct{}
	log  string
}

// newServers prepares the nodes of these names. The first one makes the cluster.
func newServers(t *testing.T, env []string, names ...string) *servers {
	t.Helper()
	dir, err := os.MkdirTemp("", "leeway-compose-") // not t.TempDir, which only root may enter here
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	s := &servers{dir: dir, nodes: map[string]*server{}, env: env}
	if s.bin, err = pgcluster.FindBin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.as, err = pgcluster.ServerAccount(); err != nil {
		t.Fatal(err)
	}
	s.tools = image(t, s)
	guard, err := guardian.Start(t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Dismiss)
	if out, err := exec.CommandContext(t.Context(), "sh", "secrets.sh", s.file("secrets")).CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	if err := s.as.Own(s.file("secrets")); err != nil { // Docker needs no right to enter it
		t.Fatal(err)
	}
	for _, name := range names {
		n := &server{servers: s, name: name, dir: s.file(name), log: s.file(name + ".log")}
		if n.port, err = pgcluster.FreePort(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{n.dir, n.dir + "/run"} {
			if err := errors.Join(os.Mkdir(dir, 0o700), s.as.Own(dir)); err != nil {
				t.Fatal(err)
			}
		}
		s.nodes[name] = n
		t.Cleanup(n.end)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range s.nodes {
				text, _ := os.ReadFile(n.log)
				t.Logf("%s:\n%s", n.name, text)
			}
		}
	})
	return s
}

// realImage is set to the folder of a version in docker-library/postgres, for instance
// .../18/bookworm, to run the tests with its scripts.
const realImage = "LEEWAY_POSTGRES_IMAGE"

// image returns a folder with docker-entrypoint.sh and docker-ensure-initdb.sh. The
// real ones name folders that are not here, and are changed in that alone.
func image(t *testing.T, s *servers) string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	original := os.Getenv(realImage)
	if original == "" {
		return s.copyOf(t, filepath.Join(root, "testdata", "image"), strings.NewReplacer())
	}
	return s.copyOf(t, original, strings.NewReplacer(
		"/docker-entrypoint-initdb.d", s.file("initdb"), "/usr/local/bin", s.file("image"), "/var/run/postgresql", s.file("run")))
}

// copyOf copies scripts to where the servers' user may read them.
func (s *servers) copyOf(t *testing.T, from string, change *strings.Replacer) string {
	t.Helper()
	to := s.file("image")
	write := func(path, text string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(change.Replace(text)), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, name := range []string{"docker-entrypoint.sh", "docker-ensure-initdb.sh"} {
		write(filepath.Join(to, name), read(filepath.Join(from, name)))
	}
	change = strings.NewReplacer()
	for _, name := range []string{"pg_basebackup", "pg_rewind"} {
		write(filepath.Join(to, name), read("testdata/image/"+name))
	}
	write(filepath.Join(to, "node.sh"), read("node.sh"))
	write(filepath.Join(to, "chaos.sh"), read("chaos.sh"))
	write(filepath.Join(to, "roles.sql"), read("../../migrations/roles/roles.sql"))
	write(s.file("initdb/10-shop.sh"), read("initdb/10-shop.sh"))
	return to
}

func (s *servers) file(name string) string { return filepath.Join(s.dir, name) }

// secret is what secrets.sh has made.
func (s *servers) secret(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(s.file("secrets/" + name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// peer is how the others name the node: it has a port of its own here.
func (n *server) peer() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *server) data() string { return n.dir + "/18/docker" }

// sockets is where the node listens besides. The real image relies on the programs'
// own default.
func (n *server) sockets() string {
	if os.Getenv(realImage) != "" {
		return "/var/run/postgresql"
	}
	return n.dir + "/run"
}

// command runs node.sh as the container of the node would.
func (n *server) command(ctx context.Context, args ...string) *exec.Cmd {
	var peers []string
	for _, other := range n.nodes {
		if other != n {
			peers = append(peers, other.peer())
		}
	}
	cmd := exec.CommandContext(ctx, "bash", append([]string{n.tools + "/node.sh"}, args...)...)
	cmd.Dir, cmd.SysProcAttr = n.dir, n.as.ProcAttr()
	cmd.Env = append([]string{
		"PATH=" + n.tools + ":" + n.bin + ":/usr/bin:/bin", "HOME=" + n.dir, "LC_ALL=C.UTF-8", "PG_MAJOR=18", "PG_BIN=" + n.bin,
		"PGDATA=" + n.data(), "PGHOST=" + n.sockets(), fmt.Sprint("PGPORT=", n.port),
		"NODE=" + n.name, "PEERS=" + strings.Join(peers, " "),
		"REPLICATOR_PASSWORD_FILE=" + n.file("secrets/replicator_password"),
	}, n.env...)
	if n.name == "db-primary" {
		cmd.Env = append(cmd.Env, "NODE_CREATES=yes", "POSTGRES_DB=shop", "POSTGRES_INITDB_ARGS=--auth-host=scram-sha-256 --data-checksums --no-sync",
			"POSTGRES_PASSWORD_FILE="+n.file("secrets/postgres_password"), "ROLES_SQL="+n.tools+"/roles.sql", "INITDB_D="+n.file("initdb"))
		for _, role := range []string{"owner", "rw", "ro"} {
			cmd.Env = append(cmd.Env, "SHOP_"+strings.ToUpper(role)+"_PASSWORD_FILE="+n.file("secrets/shop_"+role+"_password"))
		}
	}
	return cmd
}

// start is "docker compose up" of the node; it does not wait.
func (n *server) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.cmd = n.command(context.WithoutCancel(t.Context()), "start", "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprint("port=", n.port),
		"-c", "unix_socket_directories="+n.sockets(), "-c", "shared_buffers=16MB", "-c", "fsync=off")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait()
		close(gone)
	}(n.cmd, n.gone)
}

// do runs a verb to its end and returns what it said.
func (n *server) do(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := n.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// beside is "docker compose run" of a node whose own container may be running: it has the
// volume, and sees no process of it.
func (n *server) beside(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := n.command(ctx, args...)
	unshare := []string{"unshare", "--user", "--pid", "--fork"}
	if err := exec.CommandContext(ctx, "unshare", append(unshare[1:], "true")...).Run(); err != nil {
		t.Log("NOT RUN in processes of its own: no right to make a namespace")
		unshare = nil
	} else if cmd.Path, err = exec.LookPath("unshare"); err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(unshare, cmd.Args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (n *server) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.do(t, args...)
	if err != nil {
		t.Fatalf("node.sh %s on %s: %v\n%s", strings.Join(args, " "), n.name, err, out)
	}
	return out
}

// stop is "docker compose stop": in order.
func (n *server) stop(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-n.gone
	n.gone = nil
}

// end is as good as a power cut: on SIGQUIT PostgreSQL ends all of its processes at once
// and writes nothing more.
func (n *server) end() {
	if n.gone == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	select {
	case <-n.gone:
	case <-time.After(10 * time.Second):
		_ = n.cmd.Process.Kill()
		<-n.gone
	}
	n.gone = nil
}

func (n *server) dsn(t *testing.T, role, database string) string {
	t.Helper()
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&connect_timeout=2", role, n.secret(t, role+"_password"), n.peer(), database)
}

// query asks as a superuser; it fails the test unless there is an answer.
func query[T any](t *testing.T, n *server, sql string, args ...any) (answer T) {
	t.Helper()
	answer, err := try[T](t, n, sql, args...)
	if err != nil {
		t.Fatalf("%s: %s: %v", n.name, sql, err)
	}
	return answer
}

func try[T any](t *testing.T, n *server, sql string, args ...any) (answer T, err error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.dsn(t, "postgres", "shop"))
	if err != nil {
		return answer, err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	return answer, conn.QueryRow(t.Context(), sql, args...).Scan(&answer)
}

func exec1(t *testing.T, n *server, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.dsn(t, "postgres", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %s: %v", n.name, sql, err)
	}
}

// eventually is for what other processes do; the limit is a safety net.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// awaitStream waits until the primary sees the standbys streaming, by their names.
func awaitStream(t *testing.T, primary *server, standbys ...string) {
	t.Helper()
	for _, name := range standbys {
		eventually(t, name+" streams from "+primary.name, func() bool {
			n, err := try[int](t, primary, "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", name)
			return err == nil && n == 1
		})
	}
}
