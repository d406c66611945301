package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Rebuild makes the node a standby of the current primary by a new base backup,
// whatever it has: also when its data is damaged, or gone. It returns when the node
// streams. The copy is made beside what the node has, and takes its place when it is
// whole: until then the disc holds both. If the copy fails the node is down, with the
// data that it had.
func (n *Node) Rebuild(ctx context.Context) error {
	roles := map[string]Role{n.name: RoleStandby}
	return n.verb(ctx, "rebuild", roles, func(ctx context.Context) error {
		primary, err := n.c.Primary(ctx)
		if err != nil {
			return err
		}
		if primary == n {
			return fmt.Errorf("it is the primary: promote another node first")
		}
		if err := primary.makeSlots(ctx); err != nil {
			return err
		}
		if err := n.rebuild(ctx, primary); err != nil {
			return err
		}
		n.leaveOthers(ctx, primary)
		return nil
	})
}

func (n *Node) rebuild(ctx context.Context, primary *Node) error {
	if err := n.halt(ctx, syscall.SIGQUIT); err != nil { // its slot is the copy's from here on
		return err
	}
	whole := n.data + ".new"
	if err := os.RemoveAll(whole); err != nil { // of a copy that was killed
		return err
	}
	if err := n.baseBackup(ctx, primary, whole); err != nil {
		return errors.Join(err, os.RemoveAll(whole))
	}
	if err := n.replaceData(whole); err != nil {
		return err
	}
	return n.startFollowing(ctx, primary)
}

// replaceData puts another folder in the place of the node's data. If the process ends
// between the two renames the node has none, and reopen or Rebuild copies it again.
func (n *Node) replaceData(by string) error {
	old := n.data + ".old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(n.data, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(by, n.data); err != nil {
		return errors.Join(err, os.Rename(old, n.data))
	}
	return os.RemoveAll(old)
}

// baseBackup copies the primary into a new folder, as a standby of the node's slot.
func (n *Node) baseBackup(ctx context.Context, primary *Node, into string) error {
	if err := n.c.makeData(into); err != nil {
		return err
	}
	err := n.c.run(ctx, n.c.passwords[replicator], "pg_basebackup", "-D", into,
		"-h", "127.0.0.1", "-p", fmt.Sprint(primary.port), "-U", replicator,
		"--slot", n.slot(), "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	if err != nil {
		return err
	}
	return n.c.as.writeFile(filepath.Join(into, standbySignal), "")
}
