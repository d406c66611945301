// Package guardian ends the processes of a run whose owner was killed: a drill or a
// test that starts servers which would outlive it, and which start others in turn.
//
// It finds them by their working folder, which must be in the folder of the run, and
// so needs Linux's /proc; elsewhere it does nothing. (The servers of
// internal/pgcluster have a watchdog of their own, which knows how to let them keep
// their data.)
package guardian

import (
	"context"
	_ "embed" // for the script
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed guardian.sh
var script string

// A Guardian is a shell that waits for the end of this process.
type Guardian struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// Start guards a folder of the run's own. If this process ends without Dismiss, every
// process that works in the folder is killed, and the folder is removed.
func Start(ctx context.Context, dir string) (*Guardian, error) {
	dir, err := filepath.EvalSymlinks(dir) // as /proc shows it
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe() // close-on-exec: no child of ours holds the other end
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", script, "guardian", dir)
	cmd.Stdin, cmd.Dir = r, "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	return &Guardian{cmd: cmd, pipe: w}, nil
}

// Dismiss ends the guardian without its doing anything.
func (g *Guardian) Dismiss() {
	_, _ = g.pipe.WriteString("done\n")
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}

// Below lists the processes that work in a folder or below it.
func Below(dir string) (pids []int, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) { // a dead one has none
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

const pollEvery = 10 * time.Millisecond

// Kill ends every process that works in a folder or below it, as a power cut would,
// and returns when none is left.
func Kill(ctx context.Context, dir string) error {
	for {
		pids, err := Below(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone, and another one in its place started
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes still work in %s: %w", len(pids), dir, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}
