package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// project is what is looked at of a resolved Compose file.
type project struct {
	Services map[string]service
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type service struct {
	Image       string
	Build       any
	User        string
	Entrypoint  []string
	Command     []string
	Hostname    string
	Profiles    []string
	Environment map[string]string
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	Healthcheck struct{ Test []string }
	Ports       []struct {
		HostIP string `json:"host_ip"`
	}
	Volumes  []struct{ Type, Source, Target string }
	Secrets  []struct{ Source, Target string }
	ReadOnly bool     `json:"read_only"`
	CapDrop  []string `json:"cap_drop"`
	Security []string `json:"security_opt"`
	Restart  string
}

// resolve is "docker compose config", or the same by Compose's own loader.
func resolve(t *testing.T, overlays ...string) (p project) {
	t.Helper()
	files := []string{abs(t, "../../docker-compose.yml")}
	for _, overlay := range overlays {
		files = append(files, abs(t, overlay))
	}
	var cmd *exec.Cmd
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		args := []string{"compose", "--profile", "*"}
		for _, file := range files {
			args = append(args, "-f", file)
		}
		cmd = exec.CommandContext(t.Context(), "docker", append(args, "config", "--format", "json")...)
	} else {
		cmd = exec.CommandContext(t.Context(), "go", append([]string{"run", "-C", "config", "."}, files...)...)
	}
	cmd.Stderr = new(strings.Builder)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, cmd.Stderr)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (p project) servers() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if strings.HasPrefix(name, "db-") {
			names = append(names, name)
		}
	}
	return names
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	p := resolve(t)
	t.Run("servers", func(t *testing.T) { p.checkServers(t) })
	t.Run("the shop", func(t *testing.T) { p.checkShop(t) })
	t.Run("nothing is published beyond loopback", func(t *testing.T) {
		for name, s := range p.Services {
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s is published on %q", name, port.HostIP)
				}
			}
		}
	})
	t.Run("secrets are in files", func(t *testing.T) { p.checkSecrets(t) })
	t.Run("what is mounted is there", func(t *testing.T) { p.checkMounts(t) })
	t.Run("images have a version", func(t *testing.T) {
		for name, s := range p.Services {
			if _, tag, _ := strings.Cut(s.Image, ":"); s.Build == nil && (tag == "" || tag == "latest") {
				t.Errorf("%s: %s", name, s.Image)
			}
		}
	})
}

func (p project) checkServers(t *testing.T) {
	creators := 0
	for _, name := range p.servers() {
		s := p.Services[name]
		var peers []string
		for _, other := range p.servers() {
			// The third standby is not there unless it is wanted, and nobody waits for it.
			if other != name && (other != "db-replica-3" || slices.Contains(strings.Fields(s.Environment["PEERS"]), other)) {
				peers = append(peers, other)
			}
		}
		if s.Environment["NODE"] != name || s.Hostname != name || s.Environment["PEERS"] != strings.Join(peers, " ") {
			t.Errorf("%s is %q on %q, with peers %q", name, s.Environment["NODE"], s.Hostname, s.Environment["PEERS"])
		}
		data := 0
		for _, v := range s.Volumes {
			if strings.HasPrefix(v.Target, "/var/lib/postgresql") {
				data++
				if v.Type != "volume" || v.Target != "/var/lib/postgresql" || v.Source != name {
					t.Errorf("%s keeps its data in %+v", name, v)
				}
			}
		}
		if data != 1 {
			t.Errorf("%s has %d volumes", name, data)
		}
		if test := strings.Join(s.Healthcheck.Test, " "); !strings.Contains(test, "pg_isready") || !strings.Contains(test, "-h 127.0.0.1") {
			t.Errorf("%s: health check %q", name, test)
		}
		if s.User != "postgres" || s.Restart != "no" || s.Environment["SYNCHRONOUS_STANDBY_NAMES"] != "" {
			t.Errorf("%s: user %q, restart %q, synchronous with %q", name, s.User, s.Restart, s.Environment["SYNCHRONOUS_STANDBY_NAMES"])
		}
		if s.Environment["NODE_CREATES"] != "" {
			creators++
		}
	}
	if creators != 1 {
		t.Errorf("%d nodes make a cluster", creators)
	}
}

func (p project) checkShop(t *testing.T) {
	settings := declared(t)
	for name, s := range p.Services {
		if s.Build == nil {
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.Security, "no-new-privileges:true") {
			t.Errorf("%s may do too much: %+v", name, s)
		}
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "SHOP_") && !settings[variable] {
				t.Errorf("%s: the shop has no setting %s", name, variable)
			}
		}
	}
	if got := nodes(t, p.Services["shop"].Environment["SHOP_NODES"]); !slices.Equal(got, []string{"db-primary", "db-replica-1", "db-replica-2"}) {
		t.Errorf("the shop's nodes are %q", got)
	}
	for name := range p.needs("shop") {
		if strings.HasPrefix(name, "db-replica") {
			t.Errorf("the shop does not start without %s", name)
		}
	}
	for _, name := range []string{"seed", "migrate", "db-primary"} {
		if !p.needs("shop")[name] {
			t.Errorf("the shop starts without %s", name)
		}
	}
}

// declared are the program's settings.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../cmd/shop/*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`env:"(SHOP_\w+)"`).FindAllStringSubmatch(string(text), -1) {
			names[match[1]] = true
		}
	}
	return names
}

// nodes reads SHOP_NODES.
func nodes(t *testing.T, text string) (names []string) {
	t.Helper()
	for entry := range strings.SplitSeq(text, ",") {
		name, dsn, _ := strings.Cut(strings.TrimSpace(entry), "=")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, secret := u.User.Password(); secret || u.Host != name || u.User.Username() != "shop_rw" {
			t.Errorf("node %s: %s", name, dsn)
		}
		names = append(names, name)
	}
	return names
}

// needs is what must be there before a service starts, and before that.
func (p project) needs(name string) map[string]bool {
	all := map[string]bool{}
	for other := range p.Services[name].DependsOn {
		all[other] = true
		maps.Copy(all, p.needs(other))
	}
	return all
}

func (p project) checkSecrets(t *testing.T) {
	made := t.TempDir()
	for range 2 { // the second time keeps what is there
		if out, err := exec.CommandContext(t.Context(), "sh", "secrets.sh", made).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder may be entered by others: %v, %v", info.Mode(), err)
	}
	for name, secret := range p.Secrets {
		info, err := os.Stat(filepath.Join(made, filepath.Base(secret.File)))
		if err != nil || info.Mode().Perm() != 0o644 || info.Size() < 32 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if !strings.HasSuffix(filepath.Dir(secret.File), "deploy/compose/secrets") {
			t.Errorf("%s is in %s, which git does not ignore", name, secret.File)
		}
	}
	telling := regexp.MustCompile(`(?i)password|secret|key|passwd`)
	for name, s := range p.Services {
		given := map[string]bool{}
		for _, secret := range s.Secrets {
			given[secret.Target] = true
		}
		for variable, value := range s.Environment {
			switch {
			case strings.HasPrefix(value, "/run/secrets/"):
				if !given[value] {
					t.Errorf("%s: %s is not given to it", name, value)
				}
			case telling.MatchString(variable):
				t.Errorf("%s: %s=%s", name, variable, value)
			}
		}
	}
}

func (p project) checkMounts(t *testing.T) {
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != "bind" {
				continue
			}
			if _, err := os.Stat(v.Source); err == nil {
				continue
			} else if part := regexp.MustCompile(`deploy/(prometheus|grafana)`).FindString(v.Source); part != "" {
				if _, err := os.Stat("../../" + part); err != nil {
					t.Logf("NOT THERE YET: %s of %s", part, name)
					continue
				}
			}
			t.Errorf("%s mounts %s", name, v.Source)
		}
	}
	scrape, err := os.ReadFile("../prometheus/prometheus.yml")
	port := p.Services["shop"].Environment["SHOP_INTERNAL_ADDR"]
	if err == nil && !strings.Contains(string(scrape), `"shop`+port+`"`) {
		t.Errorf("Prometheus does not ask shop%s", port)
	}
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	p := resolve(t, "sync.yml", "replica-3.yml")
	for _, name := range []string{"db-primary", "db-replica-1", "db-replica-2"} {
		want := `ANY 1 ("db-primary", "db-replica-1", "db-replica-2")`
		if got := p.Services[name].Environment["SYNCHRONOUS_STANDBY_NAMES"]; got != want {
			t.Errorf("%s waits for %s", name, got)
		}
		if p.Services[name].Environment["NODE"] != name {
			t.Errorf("the overlay replaces the environment of %s", name)
		}
	}
	if got := nodes(t, p.Services["shop"].Environment["SHOP_NODES"]); !slices.Equal(got, p.servers()) {
		t.Errorf("the shop's nodes are %q", got)
	}
}

// The loader must be able to fail.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown field":            {"stop_grace_period: 25s", "stop_grace_periot: 25s"},
		"a volume that is not there":  {"- db-primary:/var/lib", "- db-first:/var/lib"},
		"a service that is not there": {"seed: {condition: service_completed", "sead: {condition: service_completed"},
		"a condition that is none":    {"condition: service_healthy", "condition: healthy"},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: the file has no %q", name, change[0])
		}
		path := filepath.Join(t.TempDir(), "docker-compose.yml")
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "run", "-C", "config", ".", path).CombinedOutput(); err == nil {
			t.Errorf("%s is accepted: %.200s", name, out)
		}
	}
}

func TestShellcheck(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("NOT RUN: shellcheck is not installed")
	}
	scripts, err := filepath.Glob("*.sh")
	if err != nil {
		t.Fatal(err)
	}
	scripts = append(scripts, "initdb/10-shop.sh", "../../internal/guardian/guardian.sh", "testdata/image/docker-entrypoint.sh", "testdata/image/docker-ensure-initdb.sh")
	for _, script := range scripts {
		args := []string{script}
		if filepath.Base(script) == "guardian.sh" { // it has no first line that says what it is
			args = append(args, "--shell=sh")
		}
		if out, err := exec.CommandContext(t.Context(), "shellcheck", args...).CombinedOutput(); err != nil {
			t.Errorf("%s:\n%s", script, out)
		}
	}
	if info, err := os.Stat("initdb/10-shop.sh"); err != nil || info.Mode()&0o111 == 0 {
		t.Error("initdb/10-shop.sh is not executable: the image would source it, and take over its settings")
	}
}

// The documents name verbs that node.sh has.
func TestVerbsInTheDocuments(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("node.sh")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, document := range []string{"README.md", "../../docs/failover.md", "../../docker-compose.yml", "node.sh"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?:/leeway/node\.sh|run --rm (?:db-\S+|\$NODE)) (\w+)`).FindAllStringSubmatch(string(text), -1) {
			found[match[1]] = true
			if !strings.Contains(string(script), "\n"+match[1]+"() {") {
				t.Errorf("%s: node.sh has no verb %s", document, match[1])
			}
		}
	}
	for _, verb := range []string{"status", "promote", "follow", "rejoin", "rebuild", "pause"} {
		if !found[verb] {
			t.Errorf("no document speaks of %s", verb)
		}
	}
}

// TestInContainers is what all the others stand in for.
func TestInContainers(t *testing.T) {
	const notRun = "NOT RUN: images, networks and their names, health checks and what waits for them, file systems that are read-only, owners of volumes and mounts"
	if err := exec.CommandContext(t.Context(), "docker", "compose", "ls").Run(); err != nil {
		t.Skip(notRun + ". There is no Docker engine with Compose here")
	}
	if os.Getenv("LEEWAY_DOCKER") == "" {
		t.Skip(notRun + ". Set LEEWAY_DOCKER=1: it builds an image, pulls others, and takes port 8080")
	}
	compose := func(args ...string) error {
		args = append([]string{"compose", "-p", "leeway-test", "-f", abs(t, "../../docker-compose.yml"), "-f", abs(t, "sync.yml")}, args...)
		out, err := exec.Command("docker", args...).CombinedOutput() // also after the test's context
		if err != nil {
			return fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "secrets.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := compose("down", "--volumes"); err != nil {
			t.Error(err)
		}
	})
	for _, step := range [][]string{
		{"up", "--build", "--wait"},
		{"exec", "-T", "shop", "/shop", "health"},
		{"kill", "db-primary"},
		{"exec", "-T", "db-replica-1", "/leeway/node.sh", "promote"},
		{"exec", "-T", "db-replica-2", "/leeway/node.sh", "follow", "db-replica-1"},
		{"run", "--rm", "-T", "db-primary", "rejoin", "db-replica-1"},
		{"up", "--wait"},
	} {
		if err := compose(step...); err != nil {
			t.Fatal(err)
		}
	}
}
