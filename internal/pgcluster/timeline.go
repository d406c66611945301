package pgcluster

import (
	"context"
	"fmt"
)

// identify asks a standby over the replication protocol (manual, section 55.4:
// IDENTIFY_SYSTEM) for the timeline of what it has replayed, and for how much of that
// timeline it has on disk.
//
// No SQL tells as much. The control file names the old timeline for minutes on a standby
// that followed. The stream and the files of WAL name the new one also on a standby that
// did not: one that is ahead of the fork and crashes replays its own log past the fork
// once more, and then receives the new timeline from the start of a segment.
func (n *Node) identify(ctx context.Context) (timeline uint32, end LSN, err error) {
	conn, err := n.dial(ctx, n.dsn(replicator, ""), map[string]string{"replication": "true"})
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The simple protocol: a walsender knows no other. The columns: systemid, timeline,
	// xlogpos, dbname.
	results, err := conn.PgConn().Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		return 0, 0, err
	}
	row := results[0].Rows[0]
	var high, low uint32
	if _, err := fmt.Sscanf(string(row[1])+" "+string(row[2]), "%d %X/%X", &timeline, &high, &low); err != nil {
		return 0, 0, fmt.Errorf("IDENTIFY_SYSTEM: %q: %w", row, err)
	}
	return timeline, LSN(high)<<32 | LSN(low), nil
}
