package fresh

// runSQL tells one run of a server from another: when its postmaster started, in
// microseconds.
const runSQL = `(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint`

// An ancestry is what the monitor has learned of the timeline that a standby replays.
//
// The control file tells it, up to which recovery must go: that of records that were
// replayed, which may be too old, by minutes, but is never too new (PostgreSQL 15,
// UpdateMinRecoveryPoint).
//
// The timeline that is streamed is known at once, but does not prove that anything of it
// was replayed. A standby that had replayed past the fork, read the new timeline's history
// and crashed replays its own log past the fork again, and then asks for the new timeline.
// It receives that from the start of a segment on, and when the stream comes to where it
// stands, PostgreSQL finds that no record begins there, and ends it; with replay paused,
// much later. So a stream is believed once the standby has replayed something of it: when it
// was told twice, and further along the second time. What the same server was believed to
// follow it still does, also when the stream ends: then the standby that followed one
// failover serves on when the next primary dies.
type ancestry struct {
	run      int64
	timeline uint32 // the newest that was proven of this run
	last     Position
	news     bool // a newer timeline was streamed for the first time
}

// believe returns the timeline of a standby that has replayed up to pos, by its control
// file, and has received as much of the timeline stream, 0 if it has not.
func (a *ancestry) believe(run int64, pos Position, stream uint32) uint32 {
	if run != a.run {
		*a = ancestry{run: run}
	}
	a.timeline = max(a.timeline, pos.Timeline)
	now := Position{stream, pos.LSN}
	if a.last.Timeline == stream && now.LSN > a.last.LSN {
		a.timeline = max(a.timeline, stream)
	}
	a.news = stream > a.timeline && a.last.Timeline != stream
	a.last = now
	return a.timeline
}

// timelineOf returns the timeline on which a standby of this run stands, which streams the
// one given, 0 if none: what the monitor has seen, unless the standby has gone on to
// another since. 0 is unknown.
func (n *node) timelineOf(run int64, stream uint32) uint32 {
	v := n.view.Load()
	if v.err != nil || !v.standby || v.run != run || stream != 0 && stream != v.pos.Timeline {
		return 0
	}
	return v.pos.Timeline
}
