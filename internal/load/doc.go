// Package load asks a running shop for as much as it is told to, measures what the
// clients saw, and checks afterwards that the shop has kept its promises.
//
// An open loop sends journeys at the rate that was asked for, whatever the shop does
// with them, as people would. The latency of a request counts from when it was meant to
// be sent: if the shop stands still for a second, all who would have come in that second
// have waited, and a client that only sends the next request after the last answer
// would have measured one of them (Gil Tene, "coordinated omission"). A closed loop has
// so many clients that each wait for their answer, and finds how much the shop can do at
// most. Its latencies are those of a shop at its limit, and no shopper's.
//
// The client is lean, so that less of the machine is the load's: it decodes only what
// it must know. It shares the machine with the shop all the same when both are on one;
// the report says how much of the time the load itself was late.
//
// It does not find the right rate by itself, and it makes no difference between a shop
// that is slow and a network that is.
package load
