// Package fresh reads from PostgreSQL replicas without showing anyone something
// older than they were promised. It imports nothing else of this module, so the
// folder can be copied.
//
// # The one idea
//
// Every freshness contract compiles to one position in the write-ahead log, the
// floor, and a read may be answered by any node that is known to be at or past
// it. Two things can raise the floor of a read:
//
//   - The session's token. It holds the position of the session's last commit,
//     and of what its earlier session reads saw.
//   - A staleness budget. Ten times a second the monitor notes the instant on
//     this process's clock, and then asks the primary how far its log is flushed.
//     Whatever was acknowledged before that instant is in the log up to there.
//     So the oldest such sample taken within the last b is the floor of
//     Bounded(b). No clocks of two machines are compared and nothing is written.
//     It holds for an idle primary, whose replicas then stay fresh for ever, and
//     for a standby that is cut off from it and believes itself in sync.
//
// # The guarantee
//
// An answer that is not labelled stale contains every transaction that was
// acknowledged to the session before (through any process with the same keys),
// and every one that was acknowledged to anyone more than the budget before the
// read began.
//
// # Why it holds
//
//  1. A commit's position is read after the commit, on its own connection, so it
//     is at or past the commit record; a sample is taken after its instant, so
//     it is at or past whatever was acknowledged before.
//  2. The guard is a statement of its own, sent before the query on the same
//     connection at READ COMMITTED. Its position is already replayed when the
//     query takes its snapshot, and replay does not go back while a connection
//     lives: a server that restarts ends its connections.
//  3. A standby that has replayed an LSN of a timeline has replayed everything
//     before it on that timeline. Guard, sample and token all carry the
//     timeline, and those of different timelines are never compared. That of a
//     standby is what the monitor has proven of this run of the server (ancestry.go).
//  4. A connection may remember what it has itself seen, by 2. It never accepts a
//     read on what another connection, or the monitor, has seen of the node: that
//     may have been another run of the server.
//  5. What is not known counts as not fresh: NULL, an error, no sample yet.
//
// Several reads may go to a node in one message ([Policy.Shared]). 2 holds for each of the
// statements behind one guard, and each read is held to its own floor. And several who ask for
// the same may have one answer ([Coalescer]): it is read after the last of them has asked, so
// its floor is not below that of any of them.
//
// An answer reaches the caller only when its guard has passed and it has been
// read whole; so going on to the next node is invisible. What an error of a node
// means is decided in one table (sqlstate.go).
//
// # What is not promised
//
//   - No fencing. Of two nodes that accept writes the one with the newest
//     timeline is used and an alarm is raised, but only an HA manager can stop
//     the other from acknowledging.
//   - No order between the reads of different sessions, and no linearizability.
//     While a commit waits for its synchronous standby, a replica may already
//     show it and the primary not yet; a session that reads there and then here
//     sees it vanish for that long. Likewise PostgreSQL makes a replayed commit
//     visible some microseconds before it counts its record as replayed: a stamp
//     taken between the two does not cover what the read saw.
//   - No position for transactions of other programs that commit with
//     synchronous_commit=off: they are visible before they are flushed. For its
//     own transactions the package refuses that setting.
//   - No recovery of what a failover lost. A token from before it is answered by
//     the new primary and counted in leeway_history_rewound_total.
//   - A budget of a session (Within) yields to its token: when the primary is away,
//     a replica that has the token answers, however old the rest is.
//   - Behind a transaction-mode pooler a connection is not one backend: set
//     Config.Pooler, or 2 and 4 do not hold.
//
// # Use
//
//	router, err := fresh.New(fresh.Config{Nodes: nodes})
//	err = router.Reader(fresh.Bounded(5*time.Second)).QueryRow(ctx, sql).Scan(&n)
//	err = router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error { ... })
//
// Inside of Write, [Together] sends statements that do not need each other's answers in
// one round trip. Router.Middleware carries the token in a header and a cookie. The position
// arithmetic follows the PostgreSQL manual, sections 9.27 (system administration
// functions), 27.4 (hot standby) and 13.2 (transaction isolation).
package fresh
