package pgcluster

import (
	"context"
	"strings"
)

// makeSlots creates the slots of all other nodes where they are missing. Standbys
// have them too, so that a promoted one can serve the others at once; a slot that
// was never used retains no WAL.
func (n *Node) makeSlots(ctx context.Context) error {
	var names []string
	for _, other := range n.c.Nodes() {
		if other != n {
			names = append(names, "'"+other.slot()+"'")
		}
	}
	if len(names) == 0 {
		return nil
	}
	return n.exec(ctx, superuser, "SELECT pg_create_physical_replication_slot(s) FROM unnest(ARRAY["+strings.Join(names, ",")+
		"]) s WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = s)")
}

// dropLostSlot drops the slot of a node that was away for longer than
// max_slot_wal_keep_size allows, and reports whether there was one. Such a slot cannot
// be used again (manual, pg_replication_slots).
func (n *Node) dropLostSlot(ctx context.Context, of *Node) (lost bool, err error) {
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tag, err := conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
		WHERE slot_name = $1 AND wal_status = 'lost' AND NOT active`, of.slot())
	return tag.RowsAffected() > 0, err
}

// leaveOthers renews the slot of n on every node that it no longer follows, for
// the reason of freshSlots. A node that does not answer keeps it until its own
// rejoin.
func (n *Node) leaveOthers(ctx context.Context, primary *Node) {
	for _, other := range n.c.Nodes() {
		if other == n || other == primary {
			continue
		}
		err := other.exec(ctx, superuser, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "+
			"WHERE NOT active AND slot_name = '"+n.slot()+"'")
		if err == nil {
			err = other.makeSlots(ctx)
		}
		if err != nil {
			n.c.cfg.Log.Debug("slot not renewed", "slot", n.slot(), "node", other.name, "error", err)
		}
	}
}

// freshSlots replaces the slots of a former primary: nobody advances them any
// more, so they would retain WAL, and old row versions through their xmin.
func (n *Node) freshSlots(ctx context.Context) error {
	if err := n.exec(ctx, superuser, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active"); err != nil {
		return err
	}
	return n.makeSlots(ctx)
}
