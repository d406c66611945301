package check_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/faults"
	"example.com/leeway/internal/pgcluster"
)

// Each test makes a fault, wants the finding with its text and its exit code, types
// what the remedy says, and wants all to be well again.

func TestCheckFindsFaultsOfAStandby(t *testing.T) {
	config := dbtest.Config()
	config.Settings["max_standby_streaming_delay"] = "-1" // a query may hold replay up as long as the test likes
	c := newChecked(t, config)
	c.good()
	for _, fault := range []struct {
		name string
		make func(*testing.T, checked)
	}{
		{"replay paused", replayPaused},
		{"a megabyte behind", aMegabyteBehind},
		{"received and not replayed", receivedAndNotReplayed},
		{"a lock delays replay", aLockDelaysReplay},
		{"a snapshot delays replay", aSnapshotDelaysReplay},
		{"not streaming", notStreaming},
		{"a standby is down", aStandbyIsDown},
		{"a standby is frozen", aStandbyIsFrozen},
		{"a slot retains too much", aSlotRetainsTooMuch},
		{"a restart is pending", aRestartIsPending},
		{"settings differ", settingsDiffer},
		{"a lower setting stops replay", aLowerSettingStopsReplay},
	} {
		t.Run(fault.name, func(t *testing.T) {
			c := checked{c.Env, t}
			fault.make(t, c)
			c.good()
		})
	}
}

func replayPaused(t *testing.T, c checked) {
	dbtest.Do(t, c.Replicas()[0].PauseReplay)
	v := c.finds("", 1, "replay_paused replica-1")
	v.says(t, "Replay is paused on replica-1, ", " B received and not shown: what it shows gets older.")
	matches(t, v.text, `(?m)^replica-1 .* paused `)
	c.remedy(v, "replay_paused replica-1")
}

func aMegabyteBehind(t *testing.T, c checked) {
	dbtest.Do(t, c.Replicas()[1].PauseReplay)
	c.write("2048")
	v := c.finds("", 1, "replay_paused replica-2", "lagging replica-2")
	v.says(t, "replica-2 is 2.0 MB behind, more than 1.0 MB. Reads that need more go to the primary.", "see what else is said of replica-2")
	matches(t, v.text, `(?m)^replica-2 .* 2\.0 MB +\? +no$`)
	c.finds("--lag 9000000", 1, "replay_paused replica-2")
	c.remedy(v, "replay_paused replica-2")
}

// The process that replays hangs: nothing is paused, and nothing moves.
func receivedAndNotReplayed(t *testing.T, c checked) {
	standby := c.Replicas()[0]
	dbtest.Do(t, func(ctx context.Context) error { return standby.FreezeProcess(ctx, pgcluster.Startup) })
	c.write("100")
	v := c.finds("", 1, "pending_replay replica-1")
	v.says(t, "replica-1 has received 100 kB that it does not replay in 500ms")
	c.remedy(v, "pending_replay replica-1")
}

func aLockDelaysReplay(t *testing.T, c checked) {
	c.exec(c.Primary(), "CREATE TABLE locked ()")
	c.CatchUp(t)
	bystander := c.begin("BEGIN; SELECT count(*) FROM pg_class") // the longest, and its lock is not in the way
	holder := c.begin("BEGIN; SELECT * FROM locked")
	c.exec(c.Primary(), "ALTER TABLE locked ADD n int")
	v := c.finds("", 1, "query_delays_replay replica-1")
	v.says(t, "On replica-1 replay waits for pid ", "(postgres, idle in transaction)")
	c.remedy(v, "query_delays_replay replica-1")
	onlyEnds(t, holder, bystander)
}

func aSnapshotDelaysReplay(t *testing.T, c checked) {
	standby := c.Replicas()[0]
	// Without its feedback the primary does not know of the snapshot.
	c.exec(standby, "ALTER SYSTEM SET hot_standby_feedback = off", "SELECT pg_reload_conf()")
	c.exec(c.Primary(), "CREATE TABLE cleaned AS SELECT 1 AS n")
	c.CatchUp(t)
	bystander := c.begin("BEGIN; SELECT pg_backend_pid()") // between two statements it has no snapshot
	holder := c.begin("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM cleaned")
	c.exec(c.Primary(), "DELETE FROM cleaned")
	primary, watcher := c.Admin(t, c.Primary()), c.Admin(t, standby)
	dbtest.Eventually(t, "replay meets the snapshot", func() bool { // once no other standby's feedback protects the row
		if _, err := primary.Exec(t.Context(), "VACUUM (TRUNCATE off) cleaned"); err != nil {
			t.Fatal(err)
		}
		var waits bool
		err := watcher.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'RecoveryConflictSnapshot')").Scan(&waits)
		return err == nil && waits
	})
	v := c.finds("", 1, "query_delays_replay replica-1", "settings_differ replica-1")
	v.says(t, "hot_standby_feedback is off on replica-1 and on on primary")
	c.remedy(v, "query_delays_replay replica-1")
	c.remedy(v, "settings_differ replica-1")
	onlyEnds(t, holder, bystander)
}

// begin leaves a transaction open on the first standby.
func (c checked) begin(statements string) *pgx.Conn {
	c.t.Helper()
	conn := c.Admin(c.t, c.Replicas()[0])
	if _, err := conn.Exec(c.t.Context(), statements); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

func onlyEnds(t *testing.T, culprit, bystander *pgx.Conn) {
	t.Helper()
	if err := culprit.Ping(t.Context()); err == nil {
		t.Error("the remedy did not end the session that is in the way")
	}
	if err := bystander.Ping(t.Context()); err != nil {
		t.Errorf("the remedy ended a bystander: %v", err)
	}
	bystander.Close(context.Background())
}

func notStreaming(t *testing.T, c checked) {
	primary := c.Admin(t, c.Primary())
	dbtest.Eventually(t, "the slot is dropped", func() bool { // the receiver comes back, until it has none
		_, _ = primary.Exec(t.Context(), "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'replica_1'")
		_, err := primary.Exec(t.Context(), "SELECT pg_drop_replication_slot('replica_1')")
		return err == nil
	})
	v := c.finds("", 1, "not_streaming replica-1")
	v.says(t, "replica-1 receives nothing: no WAL receiver runs")
	matches(t, v.text, `(?m)^replica-1 +replica +1 +none `)
	c.remedy(v, "not_streaming replica-1")
}

func aStandbyIsDown(t *testing.T, c checked) {
	dbtest.Do(t, c.Replicas()[0].Kill)
	v := c.finds("", 1, "node_unreachable replica-1")
	v.says(t, "Nothing is known of replica-1: it refuses connections. If it is a former primary, rejoin it instead")
	matches(t, v.text, `(?m)^replica-1 +unknown +\? +\? +\? +\? +\? +\? +\?$`)
	c.remedy(v, "node_unreachable replica-1")
}

func aStandbyIsFrozen(t *testing.T, c checked) {
	dbtest.Do(t, c.Replicas()[1].Freeze)
	v := c.finds("--timeout 300ms", 1, "node_unreachable replica-2")
	v.says(t, "Nothing is known of replica-2: it does not answer in time.")
	if bound := v.Nodes[1]["bound_ms"].(float64); bound >= 300 {
		t.Errorf("a silent node made the bound of another %v ms", bound)
	}
	c.remedy(v, "node_unreachable replica-2")
}

func aSlotRetainsTooMuch(t *testing.T, c checked) {
	standby := c.Replicas()[1]
	dbtest.Do(t, standby.Stop)
	c.write("1024")
	v := c.finds("--slot 500000", 1, "node_unreachable replica-2", "slot_retains_too_much primary")
	v.says(t, "The slot replica_2 on primary retains 1.0 MB of log, more than 488 kB: nobody is connected to it.")
	c.remedy(v, "slot_retains_too_much primary")
	c.finds("--slot 500000", 1, "node_unreachable replica-2")
	dbtest.Do(t, standby.Rejoin) // which makes it a new slot
}

func aRestartIsPending(t *testing.T, c checked) {
	standby := c.Replicas()[0]
	c.exec(standby, "ALTER SYSTEM SET max_connections = 250", "SELECT pg_reload_conf()")
	v := c.finds("", 1, "pending_restart replica-1")
	v.says(t, "On replica-1 a restart is pending: max_connections changed and not in force.")
	c.remedy(v, "pending_restart replica-1")
	c.good()
	c.exec(standby, "ALTER SYSTEM RESET max_connections")
	dbtest.Do(t, standby.Stop)
	dbtest.Do(t, standby.Start)
}

func settingsDiffer(t *testing.T, c checked) {
	c.exec(c.Replicas()[1], "ALTER SYSTEM SET synchronous_standby_names = ''", "ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'", "SELECT pg_reload_conf()")
	v := c.finds("", 1, "settings_differ replica-2", "settings_differ replica-2")
	v.says(t, "synchronous_standby_names is none on replica-2", "max_slot_wal_keep_size is 1GB on replica-2 and 512MB on primary: after a failover a dead standby may fill the disk")
	c.remedy(v, "settings_differ replica-2") // the first of the two
	v = c.finds("", 1, "settings_differ replica-2")
	c.remedy(v, "settings_differ replica-2")
}

// To resume replay would end the server here (manual, section 27.4.3), so the remedy
// is another than that of a pause.
func aLowerSettingStopsReplay(t *testing.T, c checked) {
	c.exec(c.Primary(), "ALTER SYSTEM SET max_connections = 250")
	dbtest.Do(t, c.Primary().Stop)
	dbtest.Do(t, c.Primary().Start)
	v := c.finds("", 1, "settings_differ replica-1", "settings_differ replica-2", "replay_paused replica-1", "replay_paused replica-2")
	v.says(t, "max_connections is 200 on replica-1 and 250 on primary", "To resume it would end the server.")
	for _, f := range v.Findings {
		if strings.Contains(strings.Join(f.Remedy, " "), "resume") {
			t.Errorf("%s: %q", f.Code, f.Remedy)
		}
	}
	c.remedy(v, "settings_differ replica-1")
	c.remedy(v, "settings_differ replica-2")
}

func TestCheckFindsFaultsOfThePrimary(t *testing.T) {
	c := newChecked(t, dbtest.Config())
	for _, fault := range []struct {
		name string
		make func(*testing.T, checked)
	}{
		{"no synchronous standby", noSynchronousStandby},
		{"standbys that do not confirm", standbysThatDoNotConfirm},
		{"no standby is asked for", noStandbyIsAskedFor},
		{"commits wait for no standby", commitsWaitForNoStandby},
		{"a right is missing", aRightIsMissing},
		{"no primary", noPrimary},
	} {
		t.Run(fault.name, func(t *testing.T) {
			c := checked{c.Env, t}
			fault.make(t, c)
			c.good()
		})
	}
}

func noSynchronousStandby(t *testing.T, c checked) {
	for _, n := range c.Replicas() {
		dbtest.Do(t, n.Kill)
	}
	v := c.finds("", 2, "no_synchronous_standby", "node_unreachable replica-1", "node_unreachable replica-2")
	v.says(t, `Commits wait for 1 of ANY 1 ("replica-1", "replica-2"), and 0 of these stream: every order waits or is refused (0 wait now).`, "Status: CRITICAL")
	c.remedy(v, "no_synchronous_standby")
}

// Both receivers stand still: the primary lists them as streaming for a minute more.
func standbysThatDoNotConfirm(t *testing.T, c checked) {
	for _, n := range c.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, func(ctx context.Context) error { return n.FreezeProcess(ctx, pgcluster.WALReceiver) })
	}
	committed := make(chan error, 1)
	conn := c.Admin(t, c.Primary())
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_logical_emit_message(true, 'leeway', 'waits')")
		committed <- err
	}()
	v := c.finds("", 2, "no_synchronous_standby", "lagging replica-1", "lagging replica-2")
	v.says(t, "The standbys stream and do not confirm: 1 commits wait, and the first has for more than 500 ms.")
	for _, n := range c.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	if err := <-committed; err != nil {
		t.Error(err)
	}
}

func noStandbyIsAskedFor(t *testing.T, c checked) {
	c.exec(c.Primary(), "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	v := c.finds("", 1, "asynchronous")
	v.says(t, "synchronous_standby_names is empty: an order is acknowledged when it is on one machine only, and a failover may lose it.")
	c.remedy(v, "asynchronous")
}

func commitsWaitForNoStandby(t *testing.T, c checked) {
	c.exec(c.Primary(), "ALTER SYSTEM SET synchronous_commit = local", "SELECT pg_reload_conf()")
	v := c.finds("", 1, "asynchronous", "settings_differ replica-1", "settings_differ replica-2")
	v.says(t, "synchronous_commit is local: an order is acknowledged when it is on one machine only")
	c.remedy(v, "asynchronous")
}

// What the role may not see looks like nothing, and is not taken for it.
func aRightIsMissing(t *testing.T, c checked) {
	c.exec(c.Primary(), "REVOKE pg_read_all_stats FROM shop_ro")
	c.CatchUp(t)
	v := c.finds("", 1, "right_missing primary", "right_missing replica-1", "right_missing replica-2")
	v.says(t, "The role shop_ro may not read all statistics: the stream of replica-1, what runs there and who waits are not known.")
	matches(t, v.text, `(?m)^replica-1 +replica +1 +\? +\? +running +\d+ B +\d+ ms +yes$`)
	matches(t, v.text, `(?m)^replica-1 +replica_1 +\d+ B +0 +\?$`)
	c.remedy(v, "right_missing replica-2")
}

func noPrimary(t *testing.T, c checked) {
	dbtest.Do(t, c.Primary().Kill)
	v := c.finds("", 2, "no_primary", "node_unreachable primary")
	v.says(t, "No node that answers takes writes; unless a silent one does, every order is refused. Silent: primary. If the primary is gone for good",
		"cluster promote replica-", "cluster start primary")
	c.remedy(v, "node_unreachable primary")
}

// A failover without the fence: the old primary lives, and a standby was not told.
// What the findings say, typed from the first to the last, mends it.
func TestCheckFindsASplitBrain(t *testing.T) {
	c := newChecked(t, dbtest.Config())
	dbtest.Do(t, c.Replicas()[0].Promote)
	v := c.finds("", 2, "two_primaries", "no_synchronous_standby", "not_in_recovery primary", "stranded_timeline replica-2")
	v.says(t, "primary and replica-1 take writes: each may acknowledge orders that the other does not have. replica-1 is taken for the primary, being on timeline 2.",
		"primary is not in recovery: it replays nothing, and takes writes on timeline 1 while the primary is replica-1 on timeline 2.",
		"replica-2 is on timeline 1, which ended when replica-1 was promoted to timeline 2")
	matches(t, v.text, `(?m)^primary +writable +1 `)
	matches(t, v.text, `(?m)^replica-2 +replica +1 .* \? +\? +\?$`) // nothing is claimed of it
	c.remedy(v, "two_primaries")
	v = c.finds("", 2, "node_unreachable primary", "no_synchronous_standby", "stranded_timeline replica-2")
	c.remedy(v, "no_synchronous_standby") // the standby that is there, not the former primary
	v = c.finds("", 1, "node_unreachable primary")
	c.remedy(v, "node_unreachable primary") // it warns of a former primary, which this is
	v = c.finds("", 2, "two_primaries", "not_in_recovery primary")
	c.remedy(v, "not_in_recovery primary")
	c.good()
}

// The new primary is not seen, and one of its standbys is: then it is the old primary
// that is wrong, though it is the only one, and nothing may be rejoined to it.
func TestCheckFindsThatThePrimaryIsSuperseded(t *testing.T) {
	c := newChecked(t, dbtest.Config())
	dbtest.Do(t, c.Replicas()[0].Promote)
	dbtest.Do(t, c.Replicas()[1].Rejoin)
	c.exec(c.Replicas()[1], "CHECKPOINT") // see TestCheckKnowsATimelineByTheControlFile
	dbtest.Do(t, c.Replicas()[0].Kill)
	v := c.finds("", 2, "newer_timeline primary", "node_unreachable replica-1")
	v.says(t, "primary takes writes on timeline 1, and replica-2 knows of timeline 2: a node was promoted that does not answer or is not listed. What primary acknowledges now will be lost.")
	for _, f := range v.Findings {
		if strings.Contains(strings.Join(f.Remedy, " "), "rejoin") {
			t.Errorf("%s would throw acknowledged orders away: %q", f.Code, f.Remedy)
		}
	}
	c.remedy(v, "newer_timeline primary")
	v = c.finds("", 2, "no_primary", "node_unreachable primary", "node_unreachable replica-1")
	v.says(t, "of those that answer it is replica-2")
	c.remedy(v, "node_unreachable replica-1")
	v = c.finds("", 1, "node_unreachable primary")
	dbtest.Do(t, c.Primary().Rejoin)
	c.good()
}

// lateConfig keeps the control file of a standby late: each page that is written to disk
// brings it up to date.
func lateConfig() pgcluster.Config {
	config := dbtest.Config()
	config.Settings["bgwriter_lru_maxpages"] = "0"
	return config
}

// For minutes after a failover the control file of a standby that followed names the old
// timeline: with its stream cut, it is not to look like one that stayed there, nor, since
// its files prove nothing, like one that followed.
func TestCheckKnowsATimelineByTheControlFile(t *testing.T) {
	c := newChecked(t, lateConfig())
	c.CatchUp(t) // else the one is ahead of the fork and is rewound
	dbtest.Do(t, c.Primary().Kill)
	dbtest.Do(t, c.Replicas()[0].Promote)
	dbtest.Do(t, c.Replicas()[1].Rejoin)
	v := c.finds("", 1, "node_unreachable primary")
	matches(t, v.text, `(?m)^replica-2 +replica +2 `)
	dbtest.Do(t, c.Replicas()[0].Kill)
	v = c.finds("", 2, "no_primary", "node_unreachable primary", "node_unreachable replica-1")
	v.says(t, "Promote none yet: of replica-2 it is not known which timeline it has replayed")
	matches(t, v.text, `(?m)^replica-2 +replica +\? `)
	c.remedy(v, "no_primary")
	v = c.finds("", 2, "no_primary", "node_unreachable primary", "node_unreachable replica-1")
	v.says(t, "of those that answer it is replica-2")
	matches(t, v.text, `(?m)^replica-2 +replica +2 `)
}

// The one that was ahead of the fork and crashed has the stream and the files of the new
// timeline, and a higher LSN than the one that followed.
func TestCheckPromotesNoStandbyPastTheFork(t *testing.T) {
	config := lateConfig()
	config.Async = true
	c := newChecked(t, config)
	successor, ahead := dbtest.PastTheFork(t, c.Cluster, func() { c.exec(c.Primary(), "CREATE TABLE lost ()") })
	v := c.finds("", 1, "node_unreachable primary", "asynchronous", "lagging "+ahead.Name())
	v.says(t, "It is not known whether replica-2 has followed to timeline 2")
	c.remedy(v, "lagging "+ahead.Name())
	stranded := c.finds("", 1, "node_unreachable primary", "asynchronous", "stranded_timeline "+ahead.Name())

	dbtest.Do(t, c.Primary().Rejoin)
	dbtest.Do(t, successor.Kill)
	v = c.finds("", 2, "no_primary", "node_unreachable "+successor.Name())
	v.says(t, "of those that answer it is primary")
	dbtest.Do(t, successor.Start)
	c.remedy(stranded, "stranded_timeline "+ahead.Name())
	c.finds("", 1, "asynchronous")
}

// A link that swallows everything: both ends believe in their stream for a minute.
func TestCheckFindsAStandbyThatIsCutOff(t *testing.T) {
	config := dbtest.Config()
	var link *faults.Link
	config.Upstream = func(node, addr string) string {
		if node != "replica-1" {
			return addr
		}
		if link == nil {
			link = dbtest.Link(t, addr)
		}
		return link.Addr()
	}
	c := newChecked(t, config)
	c.good()
	link.BlackHole()
	c.write("10")
	v := c.finds("", 1, "lagging replica-1")
	v.says(t, "replica-1 has not proven within 500 ms that it has what primary had: how old its answers are is not known. Reads that need more go to the primary.")
	matches(t, v.text, `(?m)^replica-1 +replica +1 +streaming +quorum +running +1. kB +\? +no$`)
	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
	c.good()
}

// What a slot has lost no restart brings back.
func TestCheckFindsALostSlot(t *testing.T) {
	config := dbtest.Config()
	config.Settings["wal_keep_size"], config.Settings["max_slot_wal_keep_size"] = "0", "32MB"
	config.Settings["min_wal_size"], config.Settings["max_wal_size"] = "32MB", "32MB"
	c := newChecked(t, config)
	standby := c.Replicas()[1]
	dbtest.Do(t, standby.Stop)
	for range 5 { // segments of 16 MB
		c.exec(c.Primary(), "SELECT pg_logical_emit_message(true, 'leeway', 'fills')", "SELECT pg_switch_wal()")
		c.CatchUpNode(t, c.Replicas()[0]) // whose slot should keep what it needs
		c.exec(c.Primary(), "CHECKPOINT")
	}
	dbtest.Do(t, standby.Start)
	v := c.finds("", 1, "slot_lost replica-2", "lagging replica-2")
	v.says(t, "The slot replica_2 no longer has the log that replica-2 needs", "Only a new base backup helps.")
	matches(t, v.text, `(?m)^replica-2 +replica_2 +lost `)
	c.remedy(v, "slot_lost replica-2")
	c.good()
}

// Mistakes in the list of nodes: a server twice, and one of another shop.
func TestCheckFindsWrongAddresses(t *testing.T) {
	c := checked{dbtest.New(t), t}
	other, err := pgcluster.Start(t.Context(), pgcluster.Config{Roles: []string{"shop_ro"}, InitSQL: "GRANT pg_read_all_stats TO shop_ro; GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO shop_ro"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	primary, stranger := c.Primary().DSN("shop_ro"), other.Nodes()[0].DSN("shop_ro")
	out, code := command(t, shop+" check",
		"SHOP_NODES=stranger="+stranger+",a="+primary+",b="+c.Replicas()[0].DSN("shop_ro")+",c="+primary)
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"WARNING same_server, c a and c are the same server",
		"WARNING other_cluster, stranger stranger belongs to another cluster",
		"in SHOP_NODES: correct the address of c",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if code != 1 || slices.Contains(strings.Fields(text), "two_primaries") {
		t.Errorf("exit %d, want 1 and no second primary:\n%s", code, out)
	}
}
