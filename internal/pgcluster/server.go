package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery   = 10 * time.Millisecond
	fastStop    = 5 * time.Second // a primary whose standby hangs waits for ever
	quickStop   = 2 * time.Second
	dialTimeout = time.Second
)

// proc is one process of a server.
type proc struct {
	pid, ppid int
	stopped   bool // by SIGSTOP
}

// errPortTaken: another process listens on the port of the node.
var errPortTaken = errors.New("its port is taken by another process")

// launch starts the server and returns when it answers queries. The server
// belongs to the cluster, not to ctx, once launch has returned nil.
func (n *Node) launch(ctx context.Context) error {
	procs, err := serverProcs(n.data)
	if err != nil {
		return err
	}
	if len(procs) > 0 {
		return fmt.Errorf("already running, pid %d", n.pid())
	}
	// A server that was killed leaves its lock file. As long as nobody has reaped it, and
	// a process that a second terminal started has init for that, PostgreSQL takes it
	// to be running.
	releaseShm(n.data)
	if err := os.Remove(n.file("postmaster.pid")); err != nil && !os.IsNotExist(err) {
		return err
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := n.c.command(exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(n.c.bin, "postgres"), "-D", n.data))
	cmd.Dir = n.data
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // reaps it whenever it ends

	if err := n.waitReady(ctx, exited); err != nil {
		_ = n.signalUntilGone(context.WithoutCancel(ctx), syscall.SIGKILL)
		tail := logTail(n.log, begin)
		if strings.Contains(tail, "could not bind") || strings.Contains(tail, "could not create any TCP/IP sockets") {
			err = errPortTaken
		}
		return fmt.Errorf("%w; the end of %s:\n%s", err, n.log, tail)
	}
	return nil
}

func (n *Node) waitReady(ctx context.Context, exited <-chan error) error {
	for {
		last := n.ping(ctx)
		if last == nil {
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("the server ended: %w", errors.Join(err, errNotReady))
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		case <-time.After(pollEvery):
		}
	}
}

var errNotReady = errors.New("it never answered")

// logTail returns the last lines that were logged after offset.
func logTail(path string, offset int64) string {
	text, err := os.ReadFile(path)
	if err != nil || offset > int64(len(text)) {
		return "(no log)"
	}
	lines := strings.Split(strings.TrimSpace(string(text[offset:])), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-12):], "\n  ")
}

// pid is the postmaster's, 0 when the server is down.
func (n *Node) pid() int {
	procs, err := serverProcs(n.data)
	if err != nil || len(procs) == 0 {
		return 0
	}
	recorded := readPidFile(n.data)
	for _, p := range procs {
		if p.pid == recorded {
			return recorded
		}
	}
	roots, _ := split(procs)
	return roots[0].pid
}

// readPidFile returns the first line of postmaster.pid, 0 without one.
func readPidFile(data string) int {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(first))
	return pid
}

// poll calls done until it says true, fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}
