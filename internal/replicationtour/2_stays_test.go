package replicationtour

import (
	"testing"

	"example.com/leeway/internal/dbtest"
)

// A temporary table belongs to one session, and its contents are not logged. A session
// on a standby cannot make one either: that too would be a row in the catalog.
func TestTemporaryTablesStay(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TEMPORARY TABLE basket AS SELECT 1 AS item")
	v.primary.shows("1", "SELECT item FROM basket")
	v.arrives()
	v.standby.refuses("42P01", "SELECT item FROM basket")
	v.standby.refuses("25006", "CREATE TEMPORARY TABLE basket (item int)")
}

// An unlogged table arrives as a name without contents, and may not be read. It is quick
// because it is not logged, and for the same reason a failover empties it.
func TestUnloggedTablesStay(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE UNLOGGED TABLE visits AS SELECT 1 AS n")
	v.arrives()
	v.primary.shows("1", "SELECT n FROM visits")
	v.both("u", "SELECT relpersistence FROM pg_class WHERE relname = 'visits'")
	v.standby.refuses("0A000", "SELECT n FROM visits")

	v.primary.exec("ALTER TABLE visits SET LOGGED") // which writes all of it to the log
	v.arrives()
	v.both("1", "SELECT n FROM visits")
}

// What a session sets, prepares or locks is its own: it is in the memory of one backend.
func TestSessionVariablesStay(t *testing.T) {
	v := take(t)
	v.primary.exec("SET work_mem = '9MB'; SET shop.lane = '7'; PREPARE greet AS SELECT 'hello'; SELECT pg_advisory_lock(1)")
	v.arrives()
	v.primary.shows("9MB 7", "SELECT current_setting('work_mem'), current_setting('shop.lane')")
	v.standby.shows("4MB f", "SELECT current_setting('work_mem'), coalesce(current_setting('shop.lane', true), '') = '7'")
	v.standby.refuses("26000", "EXECUTE greet")
	v.standby.shows("t", "SELECT pg_try_advisory_lock(1)") // nobody holds it here
}

// Configuration is files of one server. What must be the same everywhere has to be set
// everywhere; "shop check" compares what matters (settings_differ).
func TestConfigurationStays(t *testing.T) {
	v := take(t)
	v.primary.exec("ALTER SYSTEM SET work_mem = '5MB'")
	v.primary.exec("SELECT pg_reload_conf()")
	t.Cleanup(func() {
		v.primary.exec("ALTER SYSTEM RESET work_mem")
		v.primary.exec("SELECT pg_reload_conf()")
	})
	dbtest.Eventually(t, "the primary has read its files", func() bool {
		got, err := v.primary.run("SHOW work_mem")
		return err == nil && got == "5MB"
	})
	v.arrives()
	v.standby.exec("SELECT pg_reload_conf()") // there is nothing to be read
	v.standby.shows("4MB", "SHOW work_mem")
	session{t, v.Admin(t, v.Replicas()[0])}.shows("4MB", "SHOW work_mem")
}
