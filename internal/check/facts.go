package check

import (
	"time"

	"example.com/leeway/db/fresh"
)

// A Cluster is what one look at the nodes has found. Judge decides on it and on
// nothing else.
type Cluster struct {
	At    time.Time // when the look began
	Took  time.Duration
	Nodes []Node // in the order of the configuration
}

// A Node is one server as it was found. A pointer that is nil stands for something
// that is not known, or does not apply.
type Node struct {
	Name string
	// Trouble says why the server told nothing; then nothing below is known. It holds
	// no part of a DSN.
	Trouble Trouble
	Facts
	// Heard is the newest timeline of which a standby knows, be it on it or not; 0: not
	// known. One that is too far ahead to follow a promotion has heard of it all the same.
	Heard uint32
	// Lag is what the primary had flushed when it was asked, less what this standby
	// had replayed when it was asked right after; in bytes.
	Lag *int64
	// Bound is the staleness that this standby was proven not to exceed when it
	// answered: the age of the newest sample of the primary that it has replayed.
	Bound *time.Duration
	// CaughtUp: within Limits.Wait it has replayed what the primary had at this look.
	CaughtUp bool
}

// Trouble is why a server told nothing.
type Trouble string

// What can be said of it without repeating what a driver says, which names users,
// hosts and databases.
const (
	NoTrouble      Trouble = ""
	BadDSN         Trouble = "its DSN cannot be parsed"
	UnknownHost    Trouble = "its host is not known"
	Refused        Trouble = "it refuses connections"
	Silent         Trouble = "it does not answer in time"
	LoginFailed    Trouble = "it refuses the user or the password"
	NoDatabase     Trouble = "it has no such database"
	Full           Trouble = "it has no connection left"
	Starting       Trouble = "it is starting up or shutting down"
	BadCertificate Trouble = "its certificate is not accepted"
	NoAccess       Trouble = "no connection can be made to it"
	Failing        Trouble = "it answers with an error"
)

// Facts are what a server says of itself; see facts.sql.
type Facts struct {
	Standby bool   `json:"standby"`
	System  int64  `json:"system"`  // identifies the cluster
	Started int64  `json:"started"` // microseconds since 1970; with System it identifies the server
	User    string `json:"user"`
	// MaySee: the role has the rights that roles.sql gives to shop_ro. Without them whatever depends on
	// them is not known, though it may look like nothing.
	MaySee   bool      `json:"may_see"`
	Timeline uint32    `json:"timeline"` // 0: not known
	LSN      fresh.LSN `json:"lsn"`      // flushed on a primary, replayed on a standby
	Received fresh.LSN `json:"received"` // the end of the log, as far as it is here
	Replay   string    `json:"replay"`   // "not paused", "pause requested", "paused"

	Receiver    *Receiver `json:"receiver"`
	PrimarySlot string    `json:"primary_slot"`
	ReplayWait  string    `json:"replay_wait"` // what the startup process waits for, "type/event"
	Longest     *Session  `json:"longest"`
	Conflicts   *int64    `json:"conflicts"` // queries that replay has cancelled since the statistics were reset

	Streams  []Stream          `json:"streams"`
	Slots    []Slot            `json:"slots"`
	Waiting  Waiting           `json:"waiting"`
	Settings map[string]string `json:"settings"`
	Pending  []string          `json:"pending"` // settings that wait for a restart
}

// A Receiver is a standby's end of its stream (pg_stat_wal_receiver).
type Receiver struct {
	Status      string `json:"status"`
	Slot        string `json:"slot_name"`
	Application string `json:"application"`
}

// A Stream is a server's end of it (pg_stat_replication).
type Stream struct {
	Name    string     `json:"name"`  // application_name
	State   string     `json:"state"` // "streaming", "catchup" ...; empty: not allowed to know
	Sync    string     `json:"sync"`
	Slot    string     `json:"slot"`
	Sent    *fresh.LSN `json:"sent"`
	Flushed *fresh.LSN `json:"flushed"`
}

// A Slot is one row of pg_replication_slots.
type Slot struct {
	Name      string `json:"name"`
	Active    bool   `json:"active"`
	WALStatus string `json:"wal_status"` // "lost": what it was there to keep is gone
	Retained  *int64 `json:"retained"`   // bytes; nil: it was never used
}

// A Session is the one that replay waits for, or else the one whose transaction is
// the oldest. What it runs is not asked: it may hold what nobody should read here.
type Session struct {
	PID         int     `json:"pid"`
	User        string  `json:"usename"`
	Application string  `json:"application_name"`
	State       string  `json:"state"` // "active", "idle in transaction" ...
	Seconds     float64 `json:"seconds"`
}

// Waiting are the COMMITs that wait for a standby: under load there are always some.
type Waiting struct {
	Commits int    `json:"commits"`
	PID     int    `json:"pid"`   // of the first
	Began   string `json:"began"` // its statement, by the server's clock
	Stuck   bool   `json:"-"`     // the first has waited for all of Limits.Wait
}
