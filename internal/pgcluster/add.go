package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"syscall"
)

// Add makes one more standby, by a base backup of the current primary, and returns when
// it streams. Unless the cluster is Async, commits may from then on be confirmed by it
// too, and so be on it alone: whoever promotes must ask it as well. On an error nothing
// of it is left.
func (c *Cluster) Add(ctx context.Context) (*Node, error) {
	var added *Node
	roles := map[string]Role{}
	err := c.verb(ctx, "add a standby", roles, func(ctx context.Context) error {
		primary, err := c.Primary(ctx)
		if err != nil {
			return err
		}
		if len(c.Nodes()) > maxReplicas {
			return fmt.Errorf("there are %d standbys already", maxReplicas)
		}
		name := c.nextName()
		if exists(c.file(name)) { // not ours, and forget would remove it
			return fmt.Errorf("%s is there already", c.file(name))
		}
		added = c.addNode(name)
		roles[added.name] = RoleStandby
		if err := added.join(ctx, primary, roles); err != nil {
			return errors.Join(err, c.forget(added, primary))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// nextName is replica-N, with the first N that no node has.
func (c *Cluster) nextName() string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("replica-%d", i)
		if _, err := c.Node(name); err != nil {
			return name
		}
	}
}

func (n *Node) join(ctx context.Context, primary *Node, roles map[string]Role) error {
	if err := primary.makeSlots(ctx); err != nil {
		return err
	}
	if err := n.baseBackup(ctx, primary, n.data); err != nil {
		return err
	}
	if err := n.launchOnFreePort(ctx, primary, true); err != nil {
		return err
	}
	if err := n.freshSlots(ctx); err != nil {
		return err
	}
	// Written down before it can confirm a commit: who then looks for the standby that
	// has received most knows that there is this one.
	if err := n.c.save(true, roles); err != nil {
		return err
	}
	for _, other := range n.c.Nodes() {
		if other != n {
			if err := other.renewSyncNames(ctx); err != nil {
				return err
			}
		}
	}
	return n.waitStreaming(ctx, primary)
}

var syncNamesLine = regexp.MustCompile(`(?m)^synchronous_standby_names = .*$`)

// renewSyncNames tells a node who its standbys are or, if it became the primary, would
// be. A node that is down reads it when it is started.
func (n *Node) renewSyncNames(ctx context.Context) error {
	text, err := os.ReadFile(n.file(confFile))
	if err != nil {
		return err
	}
	line := []byte("synchronous_standby_names = '" + n.c.syncNames(n) + "'")
	if err := n.c.as.writeFile(n.file(confFile), string(syncNamesLine.ReplaceAllLiteral(text, line))); err != nil {
		return err
	}
	if procs, err := serverProcs(n.data); err != nil || len(procs) == 0 {
		return err
	}
	if n.pid() != 0 { // SIGHUP and not SQL: a frozen one reads it when it is thawed
		return syscall.Kill(n.pid(), syscall.SIGHUP)
	}
	return nil
}

// forget undoes join.
func (c *Cluster) forget(n, primary *Node) error {
	ctx := context.Background()
	errs := []error{n.halt(ctx, syscall.SIGQUIT)}
	releaseShm(n.data)
	c.mu.Lock()
	c.nodes = slices.DeleteFunc(c.nodes, func(other *Node) bool { return other == n })
	c.mu.Unlock()
	for _, other := range c.Nodes() {
		errs = append(errs, other.renewSyncNames(ctx))
	}
	errs = append(errs, os.RemoveAll(n.data), os.RemoveAll(n.log), c.save(true, nil),
		primary.exec(ctx, superuser, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_name = '"+n.slot()+"'"))
	return errors.Join(errs...)
}
