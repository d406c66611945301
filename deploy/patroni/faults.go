package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"example.com/leeway/internal/drill"
	"example.com/leeway/internal/shoppers"
)

// run is a drill under way.
type run struct {
	*drill.Drill
	c   *cluster
	say func(format string, args ...any)
}

// faults are what can be broken, by their names on the command line. Each returns when
// everything is whole again.
var faults = map[string]func(run, context.Context) error{
	"leader":  run.loseLeader,
	"agent":   run.loseAgent,
	"standby": run.loseStandby,
	"etcd":    run.loseEtcd,
}

// loseLeader: its machine is gone, with Patroni and all. The lease runs out, and the
// standby that has confirmed every commit takes over. Then the machine comes back.
func (r run) loseLeader(ctx context.Context) error {
	old := r.c.leader(ctx)
	if old == nil {
		return errors.New("there is no leader")
	}
	r.say("killing the leader, %s: Patroni and PostgreSQL, with SIGKILL", old.name)
	r.Killed()
	if err := r.c.kill(ctx, old); err != nil {
		return err
	}
	next, err := r.c.awaitLeader(ctx, old)
	if err != nil {
		return err
	}
	r.Promoted()
	r.say("Patroni has made %s the leader", next.name)
	return r.recover(ctx, old)
}

// loseAgent: Patroni dies on the leader's machine, and PostgreSQL lives on. Another node
// is promoted all the same, and two take writes; but the old one waits for a standby
// that has left it, and can acknowledge nothing.
func (r run) loseAgent(ctx context.Context) error {
	old := r.c.leader(ctx)
	if old == nil {
		return errors.New("there is no leader")
	}
	r.say("killing Patroni on the leader, %s; its PostgreSQL lives", old.name)
	r.Killed()
	if err := syscall.Kill(old.pid, syscall.SIGKILL); err != nil {
		return err
	}
	next, err := r.c.awaitLeader(ctx, old)
	if err != nil {
		return err
	}
	r.Promoted()
	r.say("Patroni has made %s the leader", next.name)
	if err := r.awaitAlarm(ctx); err != nil {
		return err
	}
	r.say("both instances raise split_brain; ending %s", old.name)
	if err := r.c.kill(ctx, old); err != nil {
		return err
	}
	return r.recover(ctx, old)
}

// awaitAlarm waits until every instance has seen two nodes that take writes.
func (r run) awaitAlarm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return shoppers.Poll(ctx, func() bool {
		for _, a := range r.Apps {
			if v, err := r.Replication(ctx, a); err != nil || !v.Alarm("split_brain") {
				return false
			}
		}
		return true
	})
}

// loseStandby: the one that confirms every commit. Nothing can be acknowledged until
// the leader has named another one.
func (r run) loseStandby(ctx context.Context) error {
	leader := r.c.leader(ctx)
	if leader == nil {
		return errors.New("there is no leader")
	}
	_, names, err := r.c.standbys(ctx, leader)
	if err != nil {
		return err
	}
	for _, m := range r.c.nodes {
		if len(names) > 0 && m.name == names[0] {
			r.say("killing the synchronous standby, %s: Patroni and PostgreSQL, with SIGKILL", m.name)
			r.Killed()
			if err := r.c.kill(ctx, m); err != nil {
				return err
			}
			return r.recover(ctx, m)
		}
	}
	return fmt.Errorf("none of %q is a node of ours", names)
}

// loseEtcd: all of it, for longer than the leader's lease. In failsafe mode the leader
// stays what it is, because it reaches every member.
func (r run) loseEtcd(ctx context.Context) error {
	const longerThanTTL = 30 * time.Second
	leader := r.c.leader(ctx)
	if leader == nil {
		return errors.New("there is no leader")
	}
	r.say("killing all of etcd for %v", longerThanTTL)
	r.Killed()
	for _, m := range r.c.etcd {
		if err := r.c.kill(ctx, m); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(longerThanTTL): // that nothing happens cannot be seen sooner
	}
	if now := r.c.leader(ctx); now != leader {
		return fmt.Errorf("%s is the leader no more", leader.name)
	}
	return r.recover(ctx, r.c.etcd...)
}

// recover waits for orders to be placed, starts what was killed, and waits until
// nothing is missing.
func (r run) recover(ctx context.Context, lost ...*member) error {
	if err := r.AwaitOrders(ctx, r.Record.Mark(), limit); err != nil {
		return err
	}
	r.say("orders are placed; starting what was killed")
	for _, m := range lost {
		if err := r.c.start(ctx, m); err != nil {
			return err
		}
	}
	if err := errors.Join(r.c.awaitWhole(ctx), r.AwaitGood(ctx)); err != nil {
		return err
	}
	r.say("every node streams, and both instances find nothing wrong")
	return nil
}
