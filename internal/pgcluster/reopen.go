package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// reopen starts a kept cluster: the last primary first, then the others as its
// standbys, whatever they were when it was closed.
func (c *Cluster) reopen(ctx context.Context, st state) error {
	if !st.Ready {
		return fmt.Errorf("the first start of %s never finished: remove the folder and start again", c.dir)
	}
	for _, role := range c.cfg.Roles {
		if _, ok := st.Passwords[role]; !ok {
			return fmt.Errorf("the cluster in %s was made without role %s: remove the folder and start again", c.dir, role)
		}
	}
	c.adopt(st)
	primary, err := c.lastPrimary(st)
	if err != nil {
		return err
	}
	c.step("reopen %s, %s first", c.dir, primary.name)
	if err := primary.launchOnFreePort(ctx, nil, true); err != nil {
		return fmt.Errorf("%s: %w", primary.name, err)
	}
	if err := primary.makeSlots(ctx); err != nil {
		return err
	}
	roles := map[string]Role{}
	var standbys []*Node
	for _, n := range c.Nodes() {
		roles[n.name] = RoleStandby
		if n != primary {
			standbys = append(standbys, n)
		}
	}
	roles[primary.name] = RolePrimary
	if err := c.each(standbys, func(n *Node) error { return n.reopenStandby(ctx, primary) }); err != nil {
		return err
	}
	return c.save(true, roles)
}

// reopenStandby starts a standby as it is, and rejoins what was a primary too.
func (n *Node) reopenStandby(ctx context.Context, primary *Node) error {
	if !n.isStandbyOnDisk() {
		return n.follow(ctx, primary)
	}
	err := n.launchOnFreePort(ctx, primary, true)
	if err == nil {
		err = n.waitStreaming(ctx, primary)
	}
	if err != nil && ctx.Err() == nil {
		return errors.Join(n.halt(ctx, syscall.SIGINT), n.follow(ctx, primary))
	}
	return err
}

// lastPrimary is the node that was promoted last: of those that are no standbys, the one
// whose log has the newest timeline. The log is there before standby.signal goes
// (xlog.c, StartupXLOG), while cluster.json may not have heard of a promotion, names every
// primary that never rejoined, and the control file may be as old, see follow. It decides
// between two of the same timeline: both were promoted from the one before.
func (c *Cluster) lastPrimary(st state) (found *Node, err error) {
	var newest uint32
	for i, n := range c.Nodes() {
		if n.isStandbyOnDisk() {
			continue
		}
		timeline, err := n.newestLog()
		if err != nil {
			return nil, err
		}
		if found == nil || timeline > newest || timeline == newest && st.Nodes[i].Role == RolePrimary {
			found, newest = n, timeline
		}
	}
	if found == nil {
		return nil, fmt.Errorf("every node of %s is a standby: remove the folder and start again", c.dir)
	}
	return found, nil
}
