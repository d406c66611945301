package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const oldestMajor = 14 // pg_get_wal_replay_pause_state, in_hot_standby

var tools = []string{"initdb", "postgres", "pg_basebackup", "pg_rewind", "pg_ctl"}

// FindBin returns the folder of a usable set of server binaries. SHOP_PG_BIN is
// an order, not a hint: when it is set nothing else is tried.
func FindBin(ctx context.Context) (string, error) {
	if dir := os.Getenv("SHOP_PG_BIN"); dir != "" {
		if err := checkBin(ctx, dir); err != nil {
			return "", fmt.Errorf("pgcluster: SHOP_PG_BIN: %w", err)
		}
		return dir, nil
	}
	return firstBin(ctx, slices.Concat(pathBins(ctx), installedBins()))
}

func firstBin(ctx context.Context, dirs []string) (string, error) {
	for _, dir := range dirs {
		if checkBin(ctx, dir) == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("pgcluster: no PostgreSQL %d or newer server binaries found: %s (or set SHOP_PG_BIN to their folder)",
		oldestMajor, installHint())
}

func checkBin(ctx context.Context, dir string) error {
	for _, tool := range tools {
		if _, err := exec.LookPath(filepath.Join(dir, tool)); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("%s/postgres --version: %w", dir, err)
	}
	if major := majorVersion(string(out)); major < oldestMajor {
		return fmt.Errorf("%s holds %s, and %d or newer is needed", dir, strings.TrimSpace(string(out)), oldestMajor)
	}
	return nil
}

var versionNumber = regexp.MustCompile(`\d+`)

// majorVersion reads "postgres (PostgreSQL) 15.18 (Debian ...)", "18beta1" too.
func majorVersion(s string) int {
	major, _ := strconv.Atoi(versionNumber.FindString(s))
	return major
}

// pathBins are the folders that the user's own environment points at.
func pathBins(ctx context.Context) []string {
	var dirs []string
	if postgres, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(postgres))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	return dirs
}

// installedBins are the folders that packages use, newest version first.
func installedBins() []string {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, PGDG apt
		"/usr/pgsql-*/bin",                                   // PGDG yum
		"/usr/libexec/postgresql*",                           // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
		"/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		"/Library/PostgreSQL/*/bin", "/opt/PostgreSQL/*/bin", // installers
		"/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin", // from source; Fedora
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return pathVersion(b) - pathVersion(a) })
		dirs = append(dirs, found...)
	}
	return dirs
}

func pathVersion(dir string) int { return majorVersion(dir) }

func installHint() string {
	switch {
	case runtime.GOOS == "darwin":
		return "brew install postgresql"
	case exists("/usr/bin/dnf"):
		return "dnf install postgresql-server"
	case exists("/sbin/apk"):
		return "apk add postgresql"
	}
	return "apt-get install postgresql"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
