package check

import "time"

// Limits say how long to wait, and what is too much.
type Limits struct {
	Timeout time.Duration // for a connection, and for each answer
	Wait    time.Duration // how long a standby may take to prove itself in one look
	Budget  time.Duration // how old a read may be: the largest lag budget of the shop
	Lag     int64         // bytes that a standby may be behind
	Slot    int64         // bytes that a slot may retain
}

// A Code names a finding. It does not change from release to release.
type Code string

// The codes of the cluster as a whole.
const (
	NoPrimary            Code = "no_primary"
	TwoPrimaries         Code = "two_primaries"
	NewerTimeline        Code = "newer_timeline"
	NoSynchronousStandby Code = "no_synchronous_standby"
	Asynchronous         Code = "asynchronous"
)

// The codes of one node.
const (
	NodeUnreachable    Code = "node_unreachable"
	SameServer         Code = "same_server"
	OtherCluster       Code = "other_cluster"
	RightMissing       Code = "right_missing"
	NotInRecovery      Code = "not_in_recovery"
	StrandedTimeline   Code = "stranded_timeline"
	NotStreaming       Code = "not_streaming"
	ReplayPaused       Code = "replay_paused"
	QueryDelaysReplay  Code = "query_delays_replay"
	PendingReplay      Code = "pending_replay"
	Lagging            Code = "lagging"
	PendingRestart     Code = "pending_restart"
	SettingsDiffer     Code = "settings_differ"
	SlotRetainsTooMuch Code = "slot_retains_too_much"
	SlotLost           Code = "slot_lost"
)

// Severity is how bad a finding is.
type Severity string

// Critical is for what refuses or may lose an order; everything else that is wrong,
// or not known, is a Warning.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// A Finding is something that is wrong.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Node     string   `json:"node,omitempty"` // empty: the cluster as a whole
	Cause    string   `json:"cause"`
	Remedy   []string `json:"remedy"` // what to type, in this order
}
