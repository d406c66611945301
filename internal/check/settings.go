package check

import "strconv"

// A comparison is a setting that is looked at on every node.
type comparison struct {
	name    string
	restart bool // it takes one to change it
	differ  func(primary, standby string) bool
	why     string // what comes of a difference
}

// compared are the settings in which a standby must not differ from its primary. The
// first five are those of hot standby (manual, section 27.4.3): where one is lower,
// replay stops when the primary tells its new value, and going on ends the server.
var compared = []comparison{
	{"max_connections", true, lower, stopsReplay},
	{"max_worker_processes", true, lower, stopsReplay},
	{"max_wal_senders", true, lower, stopsReplay},
	{"max_prepared_transactions", true, lower, stopsReplay},
	{"max_locks_per_transaction", true, lower, stopsReplay},

	{"synchronous_standby_names", false, onlyThereEmpty, "after a failover no commit would wait for a standby"},
	{"synchronous_commit", false, different, "after a failover a commit would promise something else"},
	{"fsync", false, different, "one of them may lose what it has confirmed"},
	{"full_page_writes", false, different, "one of them may not survive a power cut"},
	{"wal_level", true, different, "after a failover its log may be of no use to the others"},
	{"wal_log_hints", true, different, "pg_rewind may work in one direction only"},
	{"hot_standby_feedback", false, different, "queries are cancelled, or rows are kept for them, on one of them only"},
	{"max_standby_streaming_delay", false, different, "queries may hold up replay longer on one of them"},
	{"max_replication_slots", true, lower, "after a failover it may have no slot for every standby"},
	{"max_slot_wal_keep_size", false, different, "after a failover a dead standby may fill the disk, or be cut off sooner"},
}

const stopsReplay = "it must not be lower than on the primary: replay stops, and the server ends when replay is resumed"

func different(primary, standby string) bool { return primary != standby }

func onlyThereEmpty(primary, standby string) bool { return primary != "" && standby == "" }

func lower(primary, standby string) bool {
	p, err1 := strconv.ParseInt(primary, 10, 64)
	s, err2 := strconv.ParseInt(standby, 10, 64)
	return err1 == nil && err2 == nil && s < p
}

// settingNames are those that are asked for; cluster_name is a standby's name unless it
// has another.
func settingNames() []string {
	names := []string{"cluster_name"}
	for _, c := range compared {
		names = append(names, c.name)
	}
	return names
}

// stopReplay reports whether the standby differs in one of the settings that make
// replay stop for good.
func (n *Node) stopReplay(primary *Node) bool {
	for _, c := range compared {
		if c.why == stopsReplay && c.differ(primary.Settings[c.name], n.Settings[c.name]) {
			return true
		}
	}
	return false
}
