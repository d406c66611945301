package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// script is what pgbench runs: files with their weights, and variables.
type script struct {
	mode  string // of pgbench -M
	files []weighted
	vars  []string // NAME=VALUE
}

type weighted struct {
	text   string
	weight int
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// bindable tells whether pgbench -M prepared makes the very same statement of it: it
// numbers parameters as they appear, each anew, and has no NULL.
func bindable(s statement) bool {
	found := parameter.FindAllStringSubmatch(s.sql, -1)
	for i, match := range found {
		if match[1] != strconv.Itoa(i+1) {
			return false
		}
	}
	return len(found) == len(s.params) && !slices.Contains(s.params, "NULL")
}

// browsing is the script of a route: for each path what the shop sends for it, as often
// as the path is asked for. It binds the parameters if pgbench can; else each connection
// PREPAREs the statement once, to the byte, and EXECUTEs it with literals.
func browsing(paths [][]statement, weight func(int) int) script {
	bind := true
	for _, path := range paths {
		for _, s := range path {
			bind = bind && bindable(s)
		}
	}
	if bind {
		return bound(paths, weight)
	}
	p := &preparer{names: map[string]string{}}
	var bodies []string
	for _, path := range paths {
		var b strings.Builder
		for _, s := range path {
			fmt.Fprintf(&b, "%s;\n", p.execute(s))
		}
		bodies = append(bodies, b.String())
	}
	all := script{mode: "simple", vars: []string{"ready=0"}}
	for n, body := range bodies {
		all.files = append(all.files, weighted{p.once() + body, weight(n)})
	}
	return all
}

// comment is a line of its own. In "-- name: Products :many" pgbench would take the end for
// a parameter.
var comment = regexp.MustCompile(`(?m)^\s*--.*\n`)

func bound(paths [][]statement, weight func(int) int) script {
	all := script{mode: "prepared"}
	for n, path := range paths {
		var b strings.Builder
		for k, s := range path {
			sql := parameter.ReplaceAllStringFunc(comment.ReplaceAllString(s.sql, ""), func(at string) string {
				return fmt.Sprintf(":p%d_%d_%s", n, k, at[1:])
			})
			for i, value := range s.params {
				all.vars = append(all.vars, fmt.Sprintf("p%d_%d_%d=%s", n, k, i+1, unquote(value)))
			}
			fmt.Fprintf(&b, "%s;\n", strings.TrimRight(sql, "; \n"))
		}
		all.files = append(all.files, weighted{b.String(), weight(n)})
	}
	return all
}

func unquote(literal string) string {
	return strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
}

// preparer gives each different statement a name.
type preparer struct {
	names map[string]string
	sql   []string
}

// execute is how a statement is asked for; one without parameters goes as it is.
func (p *preparer) execute(s statement) string {
	if len(s.params) == 0 && !strings.HasPrefix(s.sql, "--") {
		return strings.TrimRight(s.sql, "; \n")
	}
	name, ok := p.names[s.sql]
	if !ok {
		name = "q" + strconv.Itoa(len(p.sql))
		p.names[s.sql] = name
		p.sql = append(p.sql, s.sql)
	}
	if len(s.params) == 0 {
		return "EXECUTE " + name
	}
	return fmt.Sprintf("EXECUTE %s(%s)", name, strings.Join(s.params, ", "))
}

// once prepares all of them in the first script that a connection runs.
func (p *preparer) once() string {
	var b strings.Builder
	b.WriteString("\\if :ready = 0\n")
	for _, sql := range p.sql {
		fmt.Fprintf(&b, "PREPARE %s AS %s;\n", p.names[sql], strings.TrimRight(sql, "; \n"))
	}
	b.WriteString("\\set ready 1\n\\endif\n")
	return b.String()
}

// pgbench runs the script and returns its transactions a second, without those of the
// first second, in which it connects and prepares, and how many there were in all.
func (w *world) pgbench(ctx context.Context, dsn string, clients, threads int, s script) (rate float64, n int, err error) {
	dir, err := os.MkdirTemp(w.dir, "pgbench-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	args := []string{
		"-n", "-M", s.mode, "-c", strconv.Itoa(clients), "-j", strconv.Itoa(threads),
		"-T", strconv.Itoa(1 + max(1, int(w.Seconds+0.5))), "-P", "1",
	}
	for _, v := range s.vars {
		args = append(args, "-D", v)
	}
	for n, f := range s.files {
		path := filepath.Join(dir, strconv.Itoa(n)+".sql")
		if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
			return 0, 0, err
		}
		args = append(args, "-f", fmt.Sprintf("%s@%d", path, f.weight))
	}
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "pgbench"), append(args, dsn)...)
	// What queues for a row must not be thrown out: it would end its client.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGOPTIONS=-c lock_timeout=0 -c statement_timeout=0")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if err != nil || bytes.Contains(out, []byte("ERROR")) || bytes.Contains(out, []byte("aborted")) {
		return 0, 0, fmt.Errorf("pgbench: %w\n%.2000s", errors.Join(err, errors.New("a statement failed")), out)
	}
	if match := processed.FindSubmatch(out); match != nil {
		n, _ = strconv.Atoi(string(match[1]))
	}
	rate, err = perSecond(string(out))
	return rate, n, err
}

var processed = regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)`)

var progress = regexp.MustCompile(`(?m)^progress: [0-9.]+ s, ([0-9.]+) tps`)

// perSecond is the mean of the seconds after the first.
func perSecond(out string) (float64, error) {
	seconds := progress.FindAllStringSubmatch(out, -1)
	if len(seconds) < 2 {
		return 0, fmt.Errorf("pgbench tells of no second after the first:\n%.2000s", out)
	}
	sum := 0.0
	for _, s := range seconds[1:] {
		tps, err := strconv.ParseFloat(s[1], 64)
		if err != nil {
			return 0, err
		}
		sum += tps
	}
	if sum == 0 {
		return 0, errors.New("pgbench did nothing")
	}
	return sum / float64(len(seconds)-1), nil
}
