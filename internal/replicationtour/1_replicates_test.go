package replicationtour

import (
	"strings"
	"testing"
)

// The contents of tables arrive: what is inserted, what is updated, what is deleted.
func TestRowsReplicate(t *testing.T) {
	v := take(t)
	const chairs = "SELECT id, name, price FROM chairs ORDER BY id"

	v.primary.exec("CREATE TABLE chairs (id int PRIMARY KEY, name text, price int)")
	v.primary.exec("INSERT INTO chairs VALUES (1, 'oak', 100), (2, 'ash', 90)")
	v.arrives()
	v.both("1 oak 100, 2 ash 90", chairs)

	v.primary.exec("UPDATE chairs SET price = 110 WHERE id = 1")
	v.arrives()
	v.both("1 oak 110, 2 ash 90", chairs)

	v.primary.exec("DELETE FROM chairs WHERE id = 2")
	v.arrives()
	v.both("1 oak 110", chairs)

	v.primary.exec("TRUNCATE chairs")
	v.arrives()
	v.both("", chairs)
}

// A transaction arrives as a whole. Its rows may travel while it is still open, and
// nobody sees them before its COMMIT has been replayed, or ever if it is rolled back.
func TestTransactionsArriveWhole(t *testing.T) {
	v := take(t)
	const count = "SELECT count(*) FROM orders_of_today"
	v.primary.exec("CREATE TABLE orders_of_today (id int)")

	v.primary.exec("BEGIN; INSERT INTO orders_of_today VALUES (1); INSERT INTO orders_of_today VALUES (2)")
	flush(v) // so that the rows are on their way for certain
	v.arrives()
	v.primary.shows("2", count) // its own
	v.standby.shows("0", count)

	v.primary.exec("COMMIT")
	v.arrives()
	v.both("2", count)

	v.primary.exec("BEGIN; INSERT INTO orders_of_today VALUES (3); ROLLBACK")
	v.arrives()
	v.both("2", count)
}

// flush lets another transaction commit, which takes all of the log before it along.
func flush(v tour) {
	session{v.t, v.Admin(v.t, v.Primary())}.exec("CREATE TABLE flushed ()")
}

// The schema is rows too, in the catalog, and arrives in the same way: a migration runs
// on the primary and nowhere else. A reader on the standby sees all of it or nothing.
func TestDDLReplicates(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE lamps (id int); INSERT INTO lamps VALUES (1)")
	v.primary.exec("ALTER TABLE lamps ADD watts int NOT NULL DEFAULT 40")
	v.primary.exec("CREATE VIEW bright AS SELECT id FROM lamps WHERE watts >= 40")
	v.primary.exec("CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'")
	v.arrives()
	v.both("1 40", "SELECT id, watts FROM lamps")
	v.both("1", "SELECT id FROM bright")
	v.both("42", "SELECT twice(21)")

	v.primary.exec("DROP TABLE lamps CASCADE")
	v.arrives()
	v.primary.refuses("42P01", "SELECT FROM lamps")
	v.standby.refuses("42P01", "SELECT FROM bright")
}

// Indexes arrive, page by page, and serve the standby's own queries. None can be there
// that is not on the primary.
func TestIndexesReplicate(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE parts AS SELECT n AS id, md5(n::text) AS code FROM generate_series(1, 1000) n")
	v.primary.exec("CREATE UNIQUE INDEX parts_code ON parts (code)")
	v.arrives()
	v.standby.exec("SET enable_seqscan = off; SET enable_bitmapscan = off")
	plan, err := v.standby.run("EXPLAIN SELECT id FROM parts WHERE code = md5('7')")
	if err != nil || !strings.Contains(plan, "Index Scan using parts_code") {
		t.Errorf("the standby plans %s, %v", plan, err)
	}
	v.both("7", "SELECT id FROM parts WHERE code = md5('7')")
	v.standby.refuses("25006", "CREATE INDEX ON parts (id)")
}

// A sequence arrives as it is logged, 32 numbers at a time. The standby shows numbers as
// taken that the primary has not given out yet; after a failover some are skipped, and
// none is given twice.
func TestSequencesReplicate(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE SEQUENCE invoice")
	v.primary.shows("1", "SELECT nextval('invoice')")
	v.arrives()
	v.primary.shows("1", "SELECT last_value FROM invoice")
	v.standby.shows("33", "SELECT last_value FROM invoice")
	v.standby.refuses("25006", "SELECT nextval('invoice')")
}

// Constraints arrive with their tables. Only the primary has to check them: what breaks
// one is refused there and never written to the log.
func TestConstraintsReplicate(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE colours (name text PRIMARY KEY)")
	v.primary.exec("CREATE TABLE paints (id int UNIQUE, colour text NOT NULL REFERENCES colours, litres int CHECK (litres > 0))")
	v.primary.exec("INSERT INTO colours VALUES ('red'); INSERT INTO paints VALUES (1, 'red', 5)")
	v.primary.refuses("23505", "INSERT INTO paints VALUES (1, 'red', 5)")
	v.primary.refuses("23503", "INSERT INTO paints VALUES (2, 'blue', 5)")
	v.primary.refuses("23514", "INSERT INTO paints VALUES (3, 'red', 0)")
	v.primary.refuses("23502", "INSERT INTO paints VALUES (4, NULL, 5)")
	v.arrives()
	v.both("1 red 5", "TABLE paints")
	v.both("CHECK ((litres > 0)), FOREIGN KEY (colour) REFERENCES colours(name), UNIQUE (id)",
		"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'paints'::regclass AND contype <> 'n' ORDER BY 1")
}

// Triggers arrive, and what they have done arrives as rows. They do not fire again: a
// standby replays changes of pages, and runs no statement.
func TestTriggersReplicate(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE stock (n int); CREATE TABLE diary (ran_on text)")
	v.primary.exec("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS " +
		"$$ BEGIN INSERT INTO diary VALUES (current_setting('cluster_name')); RETURN NULL; END $$")
	v.primary.exec("CREATE TRIGGER note AFTER INSERT ON stock FOR EACH ROW EXECUTE FUNCTION note()")
	v.primary.exec("INSERT INTO stock VALUES (1)")
	v.arrives()
	v.both("note", "SELECT tgname FROM pg_trigger WHERE tgrelid = 'stock'::regclass")
	v.both("primary", "SELECT ran_on FROM diary") // on the standby too it says where it ran
}

// All of the server arrives, and not only one database: roles with their passwords and
// rights, other databases, and settings that belong to a role or to a database, because
// they are rows of a catalog.
func TestRolesReplicate(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE ROLE tour_guide LOGIN PASSWORD 'secret'; ALTER ROLE tour_guide SET work_mem = '7MB'; GRANT pg_monitor TO tour_guide")
	t.Cleanup(func() { v.primary.exec("DROP ROLE tour_guide") })
	v.arrives()
	v.both("t {work_mem=7MB} t", "SELECT rolcanlogin, rolconfig, pg_has_role(oid, 'pg_monitor', 'MEMBER') FROM pg_roles WHERE rolname = 'tour_guide'")
	hash, err := v.primary.run("SELECT rolpassword FROM pg_authid WHERE rolname = 'tour_guide'")
	if err != nil || hash == "" {
		t.Fatal(err)
	}
	v.standby.shows(hash, "SELECT rolpassword FROM pg_authid WHERE rolname = 'tour_guide'")
}
