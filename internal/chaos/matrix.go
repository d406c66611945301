package main

import "time"

// matrix is every fault, in the order of the table. Row 14 (disk full) and 16
// (clock jump) are not in it; ARCHITECTURE.md says why, and what stands in.
var matrix = []scenario{
	{name: "replay paused", rows: "1", short: true, run: replayPaused},
	{name: "startup process frozen", rows: "2a", run: startupFrozen},
	{name: "replica's postmaster frozen", rows: "2b", run: postmasterFrozen},
	{name: "replica frozen", rows: "2c", run: replicaFrozen},
	{name: "replica killed", rows: "3", short: true, run: replicaKilled},
	{name: "replica cut off", rows: "4a", run: replicaCutOff},
	{name: "replication stream cut", rows: "4b", run: streamCut},
	{name: "primary cut off", rows: "4c", run: primaryCutOff},
	{name: "slow replication", rows: "5", run: slowStream},
	{name: "all replicas killed", rows: "5", async: true, run: allReplicasKilled},
	{name: "primary frozen", rows: "4c", run: primaryFrozen},
	{name: "primary's postmaster frozen", rows: "2b", run: primaryPostmasterFrozen},
	{name: "read-only for a while", rows: "7", run: readOnlyForAWhile},
	{name: "everything cut", rows: "4b, 4c", async: true, run: everythingCut},
	{name: "restarted behind its past", rows: "3", run: restartedBehind},
	{name: "guard race", rows: "1", run: guardRace},
	{name: "primary killed", rows: "6", run: primaryKilled},
	{name: "failover and rejoin", rows: "7, 9a", short: true, run: failOver},
	{name: "split brain", rows: "8", run: splitBrain},
	{name: "quorum overlap", rows: "8b", run: quorumOverlap},
	{name: "stranded standby", rows: "9b", run: strandedStandby},
	{name: "rejoin without rewind", rows: "9b", run: rejoinWithoutRewind},
	{name: "no synchronous standby", rows: "10, 11", short: true, hangUp: 700 * time.Millisecond, run: noStandby},
	{name: "cancelled wait", rows: "10, 7", run: cancelledWait},
	{name: "recovery conflicts", rows: "12", settings: map[string]string{"max_standby_streaming_delay": "0", "hot_standby_feedback": "off"}, run: recoveryConflicts},
	{name: "connections exhausted", rows: "13", settings: map[string]string{"max_connections": "110"}, run: connectionsExhausted},
	{name: "schema change", rows: "15", run: schemaChange},
	{name: "instance killed in COMMIT", rows: "17", run: appKilled},
	{name: "commit in doubt", rows: "18", short: true, run: commitInDoubt},
	{name: "retry storm", rows: "19", run: retryStorm},
	{name: "hot item", rows: "6, 19", run: hotItem},
	{name: "unequal lag", rows: "20", run: unequalLag},
	{name: "backend killed", rows: "21", run: backendKilled},
}
