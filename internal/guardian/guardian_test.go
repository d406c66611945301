package guardian

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// sleeper works in a folder, and has a child there that is nobody's group.
func sleeper(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "setsid sleep 600 & sleep 600; exit 1")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func works(t *testing.T, dir string) int {
	t.Helper()
	pids, err := Below(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(pids)
}

func skipWithoutProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
}

func TestAKilledOwnerLeavesNothing(t *testing.T) {
	skipWithoutProc(t)
	run := filepath.Join(t.TempDir(), "run")
	neighbour := run + "-2" // begins alike, and is somebody else's
	for _, dir := range []string{filepath.Join(run, "a", "b"), neighbour} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	first, other := sleeper(t, filepath.Join(run, "a", "b")), sleeper(t, neighbour)
	eventually(t, "all of them work", func() bool { return works(t, run) == 3 && works(t, neighbour) == 3 })
	g, err := Start(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	_ = g.pipe.Close() // as the kernel does it for a process that was killed
	_ = g.cmd.Wait()
	_ = first.Wait() // else it is still there, as a zombie
	if _, err := os.Stat(run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if n := works(t, neighbour); n != 3 {
		t.Errorf("of the neighbour's processes %d are left", n)
	}
	if err := syscall.Kill(first.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a process of the run lives: %v", err)
	}
	if err := Kill(t.Context(), neighbour); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	if n := works(t, neighbour); n != 0 {
		t.Errorf("%d processes survived Kill", n)
	}
}

func TestADismissedGuardianDoesNothing(t *testing.T) {
	skipWithoutProc(t)
	dir := t.TempDir()
	cmd := sleeper(t, dir)
	g, err := Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	g.Dismiss()
	if pids, err := Below(dir); err != nil || !slices.Contains(pids, cmd.Process.Pid) {
		t.Errorf("the process is gone: %v, %v", pids, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Kill(ended, dir); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Kill: %v", err)
	}
}
