package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Rejoin makes the node a standby of the current primary and returns when it
// streams. What it has and the primary has not is thrown away: by pg_rewind, or
// by a new base backup where that is impossible. A running standby that has
// nothing of the kind is only told whom to follow, and goes on serving. The node
// may be running, frozen, down or killed. One that has log of a newer timeline than the
// primary's is refused: a primary that was promoted later is down, and what that has
// acknowledged may be here alone. Rebuild does not ask.
func (n *Node) Rejoin(ctx context.Context) error {
	roles := map[string]Role{n.name: RoleStandby}
	return n.verb(ctx, "rejoin", roles, func(ctx context.Context) error {
		primary, err := n.c.Primary(ctx)
		if err != nil {
			return err
		}
		if primary == n {
			return fmt.Errorf("it is the primary: promote another node first")
		}
		if err := n.mayFollow(ctx, primary); err != nil {
			return err
		}
		if err := n.follow(ctx, primary); err != nil {
			return err
		}
		n.leaveOthers(ctx, primary)
		return nil
	})
}

func (n *Node) mayFollow(ctx context.Context, primary *Node) error {
	own, err := n.newestLog()
	if err != nil {
		return err
	}
	f, err := primary.ask(ctx)
	if err == nil && own > f.timeline {
		err = fmt.Errorf("it has log of timeline %d, and %s is on %d: stop that one and start the one that was promoted last; to give up what is newer, rebuild",
			own, primary.name, f.timeline)
	}
	return err
}

var walFile = regexp.MustCompile(`^([0-9A-F]{8})[0-9A-F]{16}$`)

// newestLog is the newest timeline of which the node, running or not, has a file of WAL;
// 0: its folder holds none.
func (n *Node) newestLog() (newest uint32, err error) {
	files, err := os.ReadDir(n.file("pg_wal"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	for _, f := range files {
		if match := walFile.FindStringSubmatch(f.Name()); match != nil {
			timeline, _ := strconv.ParseUint(match[1], 16, 32) // eight digits, always
			newest = max(newest, uint32(timeline))
		}
	}
	return newest, err
}

func (n *Node) follow(ctx context.Context, primary *Node) error {
	lost, err := primary.dropLostSlot(ctx, n)
	if err != nil {
		return err
	}
	if err := primary.makeSlots(ctx); err != nil {
		return err
	}
	if lost {
		n.c.step("%s takes a new base backup: its slot lost what it needs", n.name)
		return n.rebuild(ctx, primary)
	}
	if n.isBehindFork(ctx, primary) {
		err := n.repoint(ctx, primary)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// A former primary that lives may have sent it more meanwhile.
		n.c.step("%s is rewound: %v", n.name, err)
	}
	// pg_rewind reads the source's timeline from its control file, and that is
	// the old one until the first checkpoint: without this it would find nothing
	// to rewind, and the node would go on serving rows that do not exist.
	if err := primary.exec(ctx, superuser, "CHECKPOINT"); err != nil {
		return err
	}
	if err := n.halt(ctx, syscall.SIGINT); err != nil {
		return err
	}
	err = n.rewind(ctx, primary)
	if err == nil {
		err = n.startFollowing(ctx, primary)
	}
	if err != nil && ctx.Err() == nil {
		n.c.step("%s takes a new base backup: %v", n.name, err)
		err = n.rebuild(ctx, primary)
	}
	return err
}

func (n *Node) rewind(ctx context.Context, primary *Node) error {
	// After a crash pg_rewind first runs the server in single-user mode, which
	// refuses a standby. Whatever happens, the node must not start as a primary.
	if err := os.Remove(n.file(standbySignal)); err != nil && !os.IsNotExist(err) {
		return err
	}
	source := fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres", primary.port, superuser)
	err := n.c.run(ctx, n.c.passwords[superuser], "pg_rewind", "-D", n.data, "--source-server", source, "--no-sync")
	if signalErr := n.markStandby(); signalErr != nil {
		return signalErr
	}
	return err
}

// startFollowing starts a stopped standby and waits for its stream.
func (n *Node) startFollowing(ctx context.Context, primary *Node) error {
	if err := n.writeConf(primary, true); err != nil {
		return err
	}
	if err := n.launch(ctx); err != nil {
		return err
	}
	if err := n.freshSlots(ctx); err != nil {
		return err
	}
	return n.waitStreaming(ctx, primary)
}

// standbySignal is the file that makes a server a standby when it starts.
const standbySignal = "standby.signal"

func (n *Node) markStandby() error { return n.c.as.writeFile(n.file(standbySignal), "") }

// conninfo is how n reaches its primary.
func (n *Node) conninfo(primary *Node) (string, error) {
	addr := primary.Addr()
	if n.c.cfg.Upstream != nil {
		addr = n.c.cfg.Upstream(n.name, addr)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUpstream, err)
	}
	return fmt.Sprintf("host=%s port=%s user=%s password=%s application_name=%s sslmode=disable gssencmode=disable",
		host, port, replicator, n.c.passwords[replicator], n.name), nil
}

// streamTimeout is how long a started standby may take to stream before its
// data is held to be useless.
const streamTimeout = 15 * time.Second

// waitStreaming waits until the primary sees the node streaming, and counting
// for synchronous commits if those are on, and until the node has replayed what
// the primary had at the time of the call.
func (n *Node) waitStreaming(ctx context.Context, primary *Node) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	if err := n.waitStream(ctx, primary); err != nil {
		return fmt.Errorf("does not stream from %s: %w; the end of %s:\n%s", primary.name, err, n.log, logTail(n.log, 0))
	}
	return nil
}

func (n *Node) waitStream(ctx context.Context, primary *Node) error {
	up, err := primary.connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer up.Close(context.WithoutCancel(ctx))
	down, err := n.connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer down.Close(context.WithoutCancel(ctx))

	var began time.Time
	var target string
	if err := up.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&target); err != nil {
		return err
	}
	if err := down.QueryRow(ctx, "SELECT pg_postmaster_start_time()").Scan(&began); err != nil {
		return err
	}
	// The primary may still list the stream of the server that n was before.
	err = poll(ctx, func() (ok bool, err error) {
		err = up.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1
			AND backend_start > $2 AND state = 'streaming' AND (sync_state IN ('quorum', 'sync') OR $3))`,
			n.name, began, n.c.async).Scan(&ok)
		return ok, err
	})
	if err != nil {
		return err
	}
	// The node itself knows at once; the primary's replay_lsn is up to 1 s late.
	err = poll(ctx, func() (ok bool, err error) {
		err = down.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", target).Scan(&ok)
		return ok, err
	})
	if err != nil {
		return err
	}
	return n.onTimelineOf(ctx, primary)
}

// onTimelineOf is for a standby that streams: one that is past the fork does so too, and
// its LSN is higher than what it waits for.
func (n *Node) onTimelineOf(ctx context.Context, primary *Node) error {
	theirs, err := primary.ask(ctx)
	if err != nil {
		return err
	}
	mine, err := n.ask(ctx)
	if err == nil && mine.timeline != theirs.timeline {
		err = fmt.Errorf("it has replayed timeline %d past the fork, and %s is on %d", mine.timeline, primary.name, theirs.timeline)
	}
	return err
}
