package faults

// Counts says what a link has seen and done since it was made. They are the
// proof that a fault bit: one whose number stays 0 proved nothing.
type Counts struct {
	Accepted    int64 // connections
	Stranded    int64 // of them accepted in a black hole: they never reach the target
	Unreachable int64 // of them reset because the target could not be dialled
	Reset       int64 // connections cut by a fault, by Heal, or because an end was reset
	Refused     int64 // times that Refuse proved that the port is closed

	DroppedBytes int64 // swallowed
	DroppedEnds  int64 // closes and resets swallowed
	SlowedBytes  int64 // delivered later than they could have been

	// Only on a PGLink.
	Cancels       int64 // CancelRequests seen, which are connections of their own
	CommitCancels int64 // of them aimed at a COMMIT that was under way
	Forwarded     int64 // COMMITs handed to the server
	Answered      int64 // COMMITs that the server answered, be it with an error
	Delivered     int64 // answers handed to the client
	CutBefore     int64 // by CutBeforeCommit
	CutAfter      int64 // by CutAfterCommit
	Swallowed     int64 // by SwallowCommitAnswer
	Garbled       int64 // connections cut since they did not speak the protocol
}

// Counts returns the numbers of now.
func (l *Link) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *Link) count(how func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how(&l.counts)
}
