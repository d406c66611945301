package pgcluster

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// isBehindFork reports whether the node is a running standby and all that it has
// received is part of the primary's history. It then can follow the primary as it
// is. In doubt the answer is no, and the node is rewound.
func (n *Node) isBehindFork(ctx context.Context, primary *Node) bool {
	procs, err := serverProcs(n.data)
	if err != nil || len(procs) == 0 {
		return false
	}
	for _, p := range procs {
		if p.stopped {
			return false
		}
	}
	mine, err := n.ask(ctx)
	if err != nil || !mine.recovery || mine.paused {
		return false
	}
	end, err := primary.endOf(ctx, mine.timeline)
	return err == nil && max(mine.lsn, mine.received) <= end
}

// endOf returns the LSN at which the primary's history left a timeline; of its own
// one that is where it is now. It is 0 when the timeline is no ancestor.
func (n *Node) endOf(ctx context.Context, timeline uint32) (LSN, error) {
	own, err := n.ask(ctx)
	if err != nil || own.timeline == timeline {
		return own.lsn, err
	}
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var history string
	file := fmt.Sprintf("pg_wal/%08X.history", own.timeline)
	if err := conn.QueryRow(ctx, "SELECT pg_read_file($1)", file).Scan(&history); err != nil {
		return 0, err
	}
	return forkOf(history, timeline), nil
}

// forkOf reads a timeline history file (manual, section 26.3.5): lines of timeline,
// LSN at which it was left, and reason.
func forkOf(history string, timeline uint32) LSN {
	for line := range strings.Lines(history) {
		var ancestor, high, low uint32
		if _, err := fmt.Sscanf(line, "%d\t%X/%X", &ancestor, &high, &low); err == nil && ancestor == timeline {
			return LSN(high)<<32 | LSN(low)
		}
	}
	return 0
}

// repoint tells a running standby whom to follow. primary_conninfo takes effect
// on a reload (since 13; manual, section 20.6.3).
func (n *Node) repoint(ctx context.Context, primary *Node) error {
	if err := n.writeConf(primary, true); err != nil {
		return err
	}
	conn, err := n.connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()", pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	return n.waitStreaming(ctx, primary)
}
