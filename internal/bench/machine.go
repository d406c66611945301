package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// machine says what all of it ran on. What this system does not tell is left out.
func machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model := line("/proc/cpuinfo", `model name\s*:\s*(.*)`); model != "" {
		parts = append(parts, model)
	}
	if kb, err := strconv.Atoi(line("/proc/meminfo", `MemTotal:\s*(\d+)`)); err == nil {
		parts = append(parts, fmt.Sprintf("%d GB of memory", (kb+1<<19)>>20))
	}
	return strings.Join(append(parts, runtime.GOOS+"/"+runtime.GOARCH), ", ")
}

func line(file, pattern string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	match := regexp.MustCompile(`(?m)^` + pattern + `$|^` + pattern + `\s`).FindStringSubmatch(string(text))
	if match == nil {
		return ""
	}
	return strings.TrimSpace(match[1] + match[2])
}

func versions(ctx context.Context, bin string) string {
	postgres, _ := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	number := regexp.MustCompile(`[0-9][0-9.]*`).FindString(string(postgres))
	return runtime.Version() + ", PostgreSQL " + number
}

// commit is the one that is checked out, and says when files differ from it.
func commit(ctx context.Context, root string) string {
	git := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	id := git("rev-parse", "--short", "HEAD")
	switch {
	case id == "":
		return "unknown"
	case git("status", "--porcelain", "--", ".", ":!docs") != "":
		return id + " and changes"
	}
	return id
}

// loadAverage is of the minute before.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
