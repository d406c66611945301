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

// split separates the postmaster (the one whose parent is no server process)
// from its descendants.
func split(procs []proc) (roots, children []proc) {
	ours := map[int]bool{}
	for _, p := range procs {
		ours[p.pid] = true
	}
	for _, p := range procs {
		if ours[p.ppid] {
			children = append(children, p)
		} else {
			roots = append(roots, p)
		}
	}
	return roots, children
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
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := n.c.command(exec.Command(filepath.Join(n.c.bin, "postgres"), "-D", n.data))
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

// halt stops the server, harder with time: fast, immediate, SIGKILL. A frozen
// one is thawed first, or it could not hear.
func (n *Node) halt(ctx context.Context, first syscall.Signal) error {
	if err := n.thaw(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, quickStop}} {
		if step.sig == syscall.SIGINT && first != syscall.SIGINT {
			continue
		}
		procs, err := serverProcs(n.data)
		if err != nil || len(procs) == 0 {
			return err
		}
		roots, _ := split(procs)
		signal(roots, step.sig)
		waiting, cancel := context.WithTimeout(ctx, step.wait)
		err = n.waitGone(waiting)
		cancel()
		if err == nil {
			return nil
		}
	}
	return n.signalUntilGone(context.WithoutCancel(ctx), syscall.SIGKILL)
}

func (n *Node) waitGone(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		procs, err := serverProcs(n.data)
		return len(procs) == 0, err
	})
}

// signalUntilGone repeats the signal, because a dying postmaster may still fork.
func (n *Node) signalUntilGone(ctx context.Context, sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, quickStop+fastStop)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		procs, err := serverProcs(n.data)
		roots, children := split(procs)
		signal(roots, sig)
		signal(children, sig)
		return len(procs) == 0, err
	})
}

// freeze stops the postmaster first, so that it neither forks nor reacts to its
// children standing still, and returns when every process stands.
func (n *Node) freeze(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		procs, err := serverProcs(n.data)
		if err == nil && len(procs) == 0 {
			return false, errDown
		}
		running := procs[:0:0]
		for _, p := range procs {
			if !p.stopped {
				running = append(running, p)
			}
		}
		roots, children := split(running)
		signal(roots, syscall.SIGSTOP)
		signal(children, syscall.SIGSTOP)
		return len(running) == 0, err
	})
}

// thaw wakes the children first. A server that is not frozen, or not there, is
// left as it is.
func (n *Node) thaw(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		procs, err := serverProcs(n.data)
		frozen := procs[:0:0]
		for _, p := range procs {
			if p.stopped {
				frozen = append(frozen, p)
			}
		}
		roots, children := split(frozen)
		signal(children, syscall.SIGCONT)
		signal(roots, syscall.SIGCONT)
		return len(frozen) == 0, err
	})
}

var errDown = errors.New("the server is not running")

// signal ignores errors: a process that ended between listing and signal is what
// the caller's loop finds out next.
func signal(procs []proc, sig syscall.Signal) {
	for _, p := range procs {
		_ = syscall.Kill(p.pid, sig)
	}
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
