package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

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

// freezeProcess returns when the process stands.
func (n *Node) freezeProcess(ctx context.Context, which Process) error {
	return poll(ctx, func() (bool, error) {
		procs, err := serverProcs(n.data)
		if err != nil {
			return false, err
		}
		roots, _ := split(procs)
		for _, p := range procs {
			isRoot := len(roots) > 0 && p.pid == roots[0].pid
			if isRoot != (which == Postmaster) || !isRoot && !strings.Contains(processTitle(p.pid), ": "+string(which)+" ") {
				continue
			}
			if !p.stopped {
				signal([]proc{p}, syscall.SIGSTOP)
			}
			return p.stopped, nil
		}
		return false, fmt.Errorf("it has no process %s", which)
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
