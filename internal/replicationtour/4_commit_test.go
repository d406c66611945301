package replicationtour

import (
	"context"
	"testing"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// The primary has synchronous_standby_names = 'ANY 1 (...)': some commits wait for any
// one of the two standbys. For what they wait, the setting synchronous_commit of the
// session says, or of one transaction (SET LOCAL).

// local waits for the primary's own disk. No standby has to be there, and if the primary
// is lost, so may be the commit.
func TestLocalWaitsForNoStandby(t *testing.T) {
	v := take(t)
	v.freezeReceivers()
	waiting := v.commits("CREATE TABLE safe ()") // no standby confirms, for certain
	v.primary.exec("SET synchronous_commit = local")
	v.primary.exec("CREATE TABLE written ()") // returns
	v.thawReceivers()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

// on, the default, waits until a standby has the commit on disk. It then survives the
// loss of the primary; it need not be visible anywhere else yet.
func TestOnWaitsForTheDiskOfAStandby(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE counted (n int)")
	v.arrives()
	v.Pause(t)
	v.primary.exec("INSERT INTO counted VALUES (1)") // returns, though nobody replays
	v.primary.shows("1", "SELECT count(*) FROM counted")
	v.standby.shows("0", "SELECT count(*) FROM counted")
	v.Resume(t)

	v.freezeReceivers()
	committed := v.commits("INSERT INTO counted VALUES (2)")
	v.primary.shows("1", "SELECT count(*) FROM counted") // it is not visible before it is safe
	v.thawReceivers()
	if err := <-committed; err != nil {
		t.Error(err)
	}
	v.primary.shows("2", "SELECT count(*) FROM counted")
}

// remote_apply waits until a standby shows the commit: whoever reads that very standby
// next sees it without waiting. With ANY 1 of two nobody tells which one it is, so that
// this alone makes no read safe; a position does.
func TestRemoteApplyWaitsForSight(t *testing.T) {
	v := take(t)
	v.primary.exec("CREATE TABLE shown (n int)")
	v.CatchUp(t)
	v.Pause(t)
	committed := v.commits("SET synchronous_commit = remote_apply", "INSERT INTO shown VALUES (1)")
	v.Resume(t, v.Replicas()[0])
	if err := <-committed; err != nil {
		t.Error(err)
	}
	v.standby.shows("1", "SELECT n FROM shown") // at once
	other := session{t, v.Admin(t, v.Replicas()[1])}
	other.shows("", "SELECT n FROM shown")
}

// commits runs statements in a session of their own, and returns when the last one waits
// for a standby; its end comes through the channel.
func (v tour) commits(statements ...string) <-chan error {
	v.t.Helper()
	writer := session{v.t, v.Admin(v.t, v.Primary())}
	ended := make(chan error, 1)
	go func() {
		for _, sql := range statements {
			if _, err := writer.run(sql); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	dbtest.Eventually(v.t, "the commit waits", func() bool {
		var waits bool
		err := v.primary.QueryRow(context.Background(), "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $1", writer.PgConn().PID()).Scan(&waits)
		return err == nil && waits
	})
	return ended
}

// freezeReceivers stops the process by which a standby receives and confirms.
func (v tour) freezeReceivers() {
	v.t.Helper()
	v.t.Cleanup(v.thawReceivers)
	for _, n := range v.Replicas() {
		dbtest.Do(v.t, func(ctx context.Context) error { return n.FreezeProcess(ctx, pgcluster.WALReceiver) })
	}
}

func (v tour) thawReceivers() {
	for _, n := range v.Replicas() {
		dbtest.Do(v.t, n.Thaw)
	}
}
