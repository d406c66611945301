package pgcluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

//go:embed watchdog.sh
var watchdogScript string

// watchdog is a shell that outlives us if we are killed, and then cleans up. It
// waits on a pipe of which only this process holds the other end; Go opens it
// close-on-exec, so that no server inherits it.
type watchdog struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// startWatchdog hands the owner's lock to the watchdog too: the folder stays
// locked until it has done its work.
func startWatchdog(ctx context.Context, dir string, temporary bool, owner *os.File) (*watchdog, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	fate := "keep"
	if temporary {
		fate = "remove"
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", watchdogScript, "pgcluster-watchdog", dir, fate)
	cmd.Stdin = r
	cmd.ExtraFiles = []*os.File{owner}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: w}, nil
}

// dismiss ends the watchdog without its doing anything.
func (w *watchdog) dismiss() {
	_, _ = w.pipe.WriteString("done\n")
	_ = w.pipe.Close()
	_ = w.cmd.Wait()
}

// alive reports whether a process of that pid exists, ours or not.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, syscall.EPERM))
}
