package fresh

import "time"

// A Policy is the freshness contract of a read: how old its answer may be, and
// what happens when no replica can prove that it is fresh enough. Policies are
// plain values; name each once, beside the code that it governs:
//
//	var browse = fresh.Bounded(5 * time.Second).Else(fresh.ServeStale)
type Policy struct {
	kind    kind
	budget  time.Duration // 0: no bound on staleness
	degrade Degrade
	// bookmark asks for the stamp without making it the session's token.
	bookmark bool
	// shared lets its reads travel with others.
	shared bool
}

type kind uint8

const (
	kindStrong kind = iota // the zero Policy is the strictest one
	kindSession
	kindBounded
	kindAny
)

// Strong reads from the primary.
func Strong() Policy { return Policy{kind: kindStrong} }

// Session reads nothing older than the session's token: its own acknowledged
// writes and whatever its earlier session reads have seen. It stamps what it
// read into the token, and waits a moment for a replica that is just behind.
func Session() Policy { return Policy{kind: kindSession} }

// Bounded misses nothing that was committed more than budget before the read
// began. A token that the client sent is honoured too.
func Bounded(budget time.Duration) Policy { return Policy{kind: kindBounded, budget: budget} }

// Any reads from any replica that answers, however old its data is. A token
// that the client sent is honoured all the same.
func Any() Policy { return Policy{kind: kindAny} }

// Within adds a staleness budget, for sessions whose token may be missing. A
// session whose token a replica has reached is served also when the budget
// cannot be proven, because the primary is away.
func (p Policy) Within(budget time.Duration) Policy {
	p.budget = budget
	return p
}

// Else sets what happens when no replica can prove the contract; ToPrimary is
// the default.
func (p Policy) Else(d Degrade) Policy {
	p.degrade = d
	return p
}

// Bookmarked measures how far the read saw, for [Carrier.Bookmark]: a list whose next
// page must not be older. Unlike a session read it leaves the session's token
// alone, so that who only browses gets none. It costs one more statement in the same
// round trip. Strong and Session reads are bookmarked by themselves.
func (p Policy) Bookmarked() Policy {
	p.bookmark = true
	return p
}

// Shared lets a read share a connection to a replica with others, when many come at once:
// one message carries all that wait, which costs a part of what they cost one by one. It is
// for statements that take well under a millisecond, since each waits for those before it;
// what may take longer belongs under another policy. Whatever else the policy says holds
// for each of them. Session reads and snapshots never share.
func (p Policy) Shared() Policy {
	p.shared = true
	return p
}

// Degrade says what a read does when no replica proves its contract.
type Degrade uint8

const (
	// ToPrimary reads from the primary, within the cap on such reads, and fails
	// with ErrOverloaded beyond it.
	ToPrimary Degrade = iota
	// ServeStale answers from the replica that is furthest along and labels the
	// answer stale. It never goes below a token that the client sent, and goes to
	// the primary when no replica answers at all.
	ServeStale
	// Fail answers ErrUnprovable.
	Fail
)

// Reason says why a read was answered where it was; the set is closed, so that
// it can label a metric.
type Reason uint8

// The reasons.
const (
	ReasonReplica     Reason = iota // a replica proved the contract
	ReasonLag                       // no replica was within the budget
	ReasonToken                     // no replica had reached the session's token
	ReasonNoReplica                 // no replica is there, or none could answer
	ReasonConflict                  // the replica cancelled the read to go on replaying
	ReasonPolicy                    // the contract asks for the primary
	ReasonTimeline                  // the token is of another timeline than the primary's
	ReasonPrimaryDown               // no primary was there to prove a bound
	ReasonShed                      // the cap on fallback reads was reached
	reasonCount
)

var reasonNames = [reasonCount]string{
	"replica", "lag", "token", "no_replica", "conflict", "policy", "timeline", "primary_down", "shed",
}

func (r Reason) String() string { return reasonNames[r] }
