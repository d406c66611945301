package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"example.com/leeway/internal/guardian"
	"example.com/leeway/internal/shoppers"
)

// start runs a member as the servers' user. What it started before is gone.
func (c *cluster) start(ctx context.Context, m *member) error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), m.args[0], m.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = m.dir, log, log, c.as.ProcAttr()
	// None of the caller's PG, PATRONI or ETCD variables.
	cmd.Env = []string{"PATH=/usr/bin:/bin:" + c.bin, "HOME=" + m.dir, "LC_ALL=C.UTF-8"}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.pid, m.gone = cmd.Process.Pid, make(chan struct{})
	go func(gone chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(gone)
	}(m.gone)
	return nil
}

// kill ends a member and all that it has started with SIGKILL, as if its machine had
// lost its power.
func (c *cluster) kill(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return guardian.Kill(ctx, m.dir)
}

// up starts etcd, then Patroni, and returns when a leader has two standbys, one of
// which confirms every commit.
func (c *cluster) up(ctx context.Context) error {
	for _, members := range [][]*member{c.etcd, c.nodes} {
		for _, m := range members {
			if err := c.start(ctx, m); err != nil {
				return err
			}
		}
	}
	return c.awaitWhole(ctx)
}

// awaitWhole waits until every node is there and streams. A member that has ended,
// for instance because somebody else was faster to take its port, ends the wait.
func (c *cluster) awaitWhole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var ended *member
	err := shoppers.Poll(ctx, func() bool {
		if ended = c.ended(); ended != nil {
			return true
		}
		leader := c.leader(ctx)
		if leader == nil {
			return false
		}
		streaming, confirming, err := c.standbys(ctx, leader)
		return err == nil && streaming == size-1 && len(confirming) > 0
	})
	switch {
	case ended != nil:
		return fmt.Errorf("%s has ended; see %s", ended.name, ended.log)
	case err != nil:
		return fmt.Errorf("no leader with %d standbys within %v", size-1, limit)
	}
	return nil
}

// ended is a member whose process is not there.
func (c *cluster) ended() *member {
	for _, members := range [][]*member{c.etcd, c.nodes} {
		for _, m := range members {
			select {
			case <-m.gone:
				return m
			default:
			}
		}
	}
	return nil
}

// close ends everything. PostgreSQL is shut down in order first: its System V shared
// memory would outlive processes that are killed.
func (c *cluster) close() error {
	var asked sync.WaitGroup
	for _, m := range c.nodes {
		if m.gone != nil {
			_ = syscall.Kill(m.pid, syscall.SIGTERM) // it may be gone
			asked.Go(func() {
				select {
				case <-m.gone:
				case <-time.After(5 * time.Second): // Patroni waits to be released first
				}
			})
		}
	}
	asked.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var errs []error
	for _, members := range [][]*member{c.nodes, c.etcd} {
		for _, m := range members {
			errs = append(errs, guardian.Kill(ctx, m.dir))
		}
	}
	return errors.Join(errs...)
}
