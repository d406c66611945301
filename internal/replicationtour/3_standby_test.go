package replicationtour

import (
	"testing"
)

// A standby takes no write from anybody, not even from the superuser, and no setting
// changes that. SQLSTATE 25006 is read_only_sql_transaction.
func TestAWriteOnAStandbyIsRefused(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE shelf (id int PRIMARY KEY, n int); INSERT INTO shelf VALUES (1, 5)")
	v.arrives()
	for _, write := range []string{
		"INSERT INTO shelf VALUES (2, 5)",
		"UPDATE shelf SET n = 4",
		"DELETE FROM shelf",
		"TRUNCATE shelf",
		"COPY shelf FROM PROGRAM 'true'",
		"CREATE TABLE other ()",
		"ALTER TABLE shelf ADD note text",
		"DROP TABLE shelf",
		"SELECT n FROM shelf FOR UPDATE", // a row lock is written into the row
		"CREATE ROLE guest",
		"VACUUM shelf",
	} {
		v.standby.refuses("25006", write)
	}
	v.standby.exec("SET default_transaction_read_only = off")
	v.standby.refuses("25006", "UPDATE shelf SET n = 4")
	v.standby.refuses("0A000", "SET transaction_read_only = off")
	v.both("1 5", "TABLE shelf")
}

// Reading is the same as on the primary, transactions with one snapshot included. Only
// SERIALIZABLE is not there: it would have to know of the primary's transactions.
func TestAStandbyReadsLikeAPrimary(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE pages AS SELECT n FROM generate_series(1, 100) n")
	v.arrives()
	v.both("50 100 5050", "WITH odd AS (SELECT n FROM pages WHERE n % 2 = 1) SELECT count(odd.n), count(*), sum(pages.n) FROM pages LEFT JOIN odd USING (n)")

	v.standby.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pages")
	v.primary.exec("INSERT INTO pages VALUES (101)")
	v.arrives()
	v.standby.shows("100", "SELECT count(*) FROM pages") // its snapshot is older
	v.standby.exec("COMMIT")
	v.standby.shows("101", "SELECT count(*) FROM pages")
	v.standby.refuses("0A000", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT FROM pages")
}

// A standby is behind, mostly by less than a millisecond, and at times by as much as you
// like: here replay is paused. It answers all the same and does not say so. How far it is
// only its position tells: received is not yet replayed, and only what is replayed shows.
func TestAStandbyIsBehind(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE prices (n int); INSERT INTO prices VALUES (100)")
	v.arrives()
	v.Pause(t)

	v.primary.exec("UPDATE prices SET n = 120") // waits until a standby has it on disk
	v.primary.shows("120", "SELECT n FROM prices")
	v.standby.shows("100", "SELECT n FROM prices")
	lsn, err := v.primary.run("SELECT pg_current_wal_flush_lsn()")
	if err != nil {
		t.Fatal(err)
	}
	v.standby.shows("f", "SELECT pg_last_wal_replay_lsn() >= '"+lsn+"'")

	v.Resume(t)
	v.arrives()
	v.standby.shows("t", "SELECT pg_last_wal_replay_lsn() >= '"+lsn+"'")
	v.standby.shows("120", "SELECT n FROM prices")
}

// What looks like a measure of lag is none: the time since the last replayed COMMIT grows
// on a standby that misses nothing, because nothing happens.
func TestTheAgeOfTheLastCommitIsNotLag(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE last_change ()")
	v.arrives()
	const age = "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) > "
	before, err := v.standby.run("SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())")
	if err != nil {
		t.Fatal(err)
	}
	v.arrives() // nothing was written: it is caught up before and after
	v.standby.shows("t", age+before)
}
