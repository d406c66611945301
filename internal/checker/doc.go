// Package checker judges the record of a run: what clients asked of the shop and
// were answered, and what every database holds at the end. It is the other half
// of every fault test. The fault is made, the shop is used throughout, and then
// [Check] says whether a promise was broken.
//
// It is pure: no clock, no network, no database. The same history always gives
// the same report, so a history kept with [History.Encode] can be judged again
// by a later and stricter checker.
//
// # How
//
// An operation has an interval on one monotonic clock and one of three outcomes.
// An [Unknown] one may have taken effect at any time since it was called, or
// never, and it is taken for whatever suits the shop: a checker that cries wolf
// is switched off. Nothing else is excused.
//
// Every cart and order has a version that each change raises, so most promises
// are linear scans (I1, I2, I5, I6, I9, G2) or sums (I3, I4). Two need a search
// for an order of the operations that explains every answer, which porcupine
// does: the stock of each variant (I7) and each cart (I8).
//
// # The search is bounded by steps and not by a timeout
//
// Finding such an order is NP-hard. A timeout would need a clock, and would pass
// on an idle machine what it gives up on a busy one. The search counts its steps
// instead, and one that runs out of them is a violation, "undecided": what was
// not checked has not passed. For the same reason each [Result] says how much
// was Checked; a test should assert that it was not nothing.
//
// # Exceptions
//
// A replica may show a commit that still waits for its synchronous standby, and
// the primary not yet; a failover may lose such a commit. A session that saw one
// can therefore see it vanish (ARCHITECTURE.md, "Not guaranteed"). That is an
// exception and no violation, and listed apart, but only as long as nobody had
// been told that the commit was done.
//
// # What is not promised
//
//   - A pass is not a proof. It holds for the operations that were made, at the
//     instants at which they were made.
//   - Reads of different sessions are not compared, other than those of carts on
//     the primary (I8): the shop does not promise linearizable replicas.
//   - Changes that no operation has are not modelled: no restock, no payment, no
//     expiry, no change of a price during an order. I3 would report a restock.
//   - The position of a token is not judged, only what was answered under it. The
//     timeline in it is trusted to tell that a failover lies between two answers.
package checker
