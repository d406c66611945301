// Package replicationtour is a tour of PostgreSQL's streaming replication, for a reader
// who never saw a replica. Every statement is a test on a real primary with two real
// standbys; read the files in the order of their numbers:
//
//	1_replicates_test.go   what arrives on a standby: rows, DDL, indexes, sequences ...
//	2_stays_test.go        what does not: temporary and unlogged tables, sessions, settings
//	3_standby_test.go      what a standby is: read-only, and behind
//	4_commit_test.go       what a COMMIT waits for
//	5_cost_test.go         what that costs: make bench
//
// The one idea behind it: a primary writes down each change of its files in a log, the
// WAL, before it makes it. A standby receives that log and makes the same changes
// ("replay"). What is in the log replicates, and nothing else does. A position in the
// log, an LSN, therefore says exactly what a standby has: it has whatever was
// committed before the position that it has replayed.
//
// There is no code here but the tests. docs/replication.md is the tour on one page.
package replicationtour
