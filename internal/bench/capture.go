package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"example.com/leeway/internal/pgcluster"
)

// statement is what a server was asked to execute, as its log has it: the text to the
// byte, and the parameters as SQL literals. pgbench is given what the shop really sends,
// and not what somebody took for it.
type statement struct {
	sql    string
	params []string
}

// pools are the names under which a shop's connections do what clients ask for.
var pools = map[string]bool{"leeway-read": true, "leeway-shared": true, "leeway-fallback": true, "leeway-write": true}

// capture has the node log every statement while do is done, and returns those of the
// shop. do is done at least twice: the first time to see that the log is on.
func (w *world) capture(ctx context.Context, n *pgcluster.Node, do func() error) ([]statement, error) {
	file := filepath.Join(w.cluster.Dir(), n.Name()+".log")
	if err := w.logging(ctx, n, "ALTER SYSTEM SET log_statement = 'all'"); err != nil {
		return nil, err
	}
	seen := func() ([]statement, error) {
		before, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		if err := do(); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return parseLog(string(text[before.Size():])), nil
	}
	var all []statement
	var err error
	for range 200 { // each backend sees the setting when it is asked for something
		if all, err = seen(); err != nil || len(all) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("the log of %s has no statement of the shop", n.Name())
	}
	if err == nil {
		all, err = seen()
	}
	return all, errors.Join(err, w.logging(ctx, n, "ALTER SYSTEM RESET log_statement"))
}

func (w *world) logging(ctx context.Context, n *pgcluster.Node, sql string) error {
	if err := w.execOn(ctx, n, "postgres", sql); err != nil {
		return err
	}
	return w.execOn(ctx, n, "postgres", "SELECT pg_reload_conf()")
}

var (
	logLine  = regexp.MustCompile(`(?s)^\[([^\]]*)\] (LOG|DETAIL):  (.*)$`)
	executed = regexp.MustCompile(`(?s)^(?:execute [^:]*|statement): (.*)$`)
	position = regexp.MustCompile(`pg_last_wal_replay_lsn|pg_current_wal_flush_lsn`)
)

// parseLog leaves out what only asks for a position of the log: that is the proof, which
// pgbench does without. What a COMMIT is followed by is left out for the same reason.
func parseLog(text string) []statement {
	var all []statement
	shop := false
	for entry := range strings.SplitSeq(strings.ReplaceAll(text, "\n\t", "\x00"), "\n") {
		match := logLine.FindStringSubmatch(strings.ReplaceAll(entry, "\x00", "\n"))
		if match == nil || !pools[match[1]] {
			continue
		}
		if sql := executed.FindStringSubmatch(match[3]); match[2] == "LOG" && sql != nil {
			what := sql[1]
			if rest, ok := strings.CutPrefix(what, "COMMIT"); ok && strings.HasPrefix(rest, ";") {
				what = "COMMIT"
			}
			if shop = !position.MatchString(what); shop {
				all = append(all, statement{sql: what})
			}
		} else if params, ok := strings.CutPrefix(match[3], "parameters: "); ok && shop {
			all[len(all)-1].params = literals(params)
		}
	}
	return all
}

var literal = regexp.MustCompile(`\$\d+ = (NULL|'(?:[^']|'')*')`)

// literals reads "$1 = 'it”s', $2 = NULL".
func literals(params string) []string {
	var all []string
	for _, match := range literal.FindAllStringSubmatch(params, -1) {
		all = append(all, match[1])
	}
	return all
}
