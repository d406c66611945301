// Package pgcluster runs a real PostgreSQL cluster on this machine, one primary
// and any number of streaming standbys, and breaks it on demand: replay can be
// paused, a server frozen or killed, a standby promoted, an old primary rejoined.
// It is for tests, demonstrations and learning, where "the replica lags" must be
// made to happen rather than waited for.
//
//	c, err := pgcluster.Start(ctx, pgcluster.Config{Replicas: 2, Roles: []string{"app"}})
//	if err != nil { ... }
//	defer c.Close()
//	standby, err := c.Node("replica-1")
//	err = standby.PauseReplay(ctx) // reads there are stale from here on
//
// It needs the server binaries of PostgreSQL 14 or newer and nothing else: no
// container, no root. When it is run as root, the servers run as another user.
//
// Nothing outlives the process that called Start, however it ends: Close stops
// the servers, and a watchdog does so when Close was never reached. The package
// installs no signal handler; a program that wants an orderly end on Ctrl-C
// calls Close from its own.
//
// What it is not: a way to run a database that matters. Nobody elects a leader,
// nobody fences an old primary, fsync of the first backup is skipped, every
// server shares one machine and passwords lie in a file. Promote and Rejoin do
// what they are told, split brain included, because that has to be shown too.
package pgcluster
