// Package faults breaks TCP links on purpose. A Link stands between a client and
// a server and passes bytes until it is told to delay, throttle, swallow, refuse
// or reset them; a PGLink also knows where a COMMIT is in the stream, and cuts
// there.
//
//	link, err := faults.NewPGLink(addr, seed, "COMMIT; SELECT")
//	if err != nil { ... }
//	defer link.Close()
//	link.CutAfterCommit(1)      // the next COMMIT is executed, its answer is lost
//	...                         // connect to link.Addr() and write
//	link.Counts().CutAfter == 1 // the fault bit; 0 means that the test proved nothing
//
// # What is promised
//
//   - Bytes arrive in order, each once, or the connection never again delivers
//     any: a connection that lost bytes is reset by Heal, never resumed.
//   - A fault holds for every byte that is sent after the method that makes it has
//     returned, and for those that wait in the link (Delay, Bandwidth). A write to
//     a peer that is under way is not called back, as with a cable.
//   - A COMMIT that CutAfterCommit or SwallowCommitAnswer counts was handed to the
//     server, whose connection then stays open until the server has answered it.
//   - The same seed gives the n-th connection the same sequence of jitter. It does
//     not fix which connection is the n-th, nor where TCP divides the stream.
//   - After Close no goroutine and no socket is left.
//
// # What is not
//
//   - No packet is lost: the faults are those that a TCP endpoint can see. The
//     kernel acknowledges what the link will swallow, so neither TCP_USER_TIMEOUT
//     nor a full send buffer is provoked, and a dial into a black hole succeeds
//     and then hears nothing, instead of timing out itself.
//   - Connecting is not delayed, only what is sent afterwards.
//   - An attempt that Refuse refuses reaches no process and cannot be counted;
//     Refused counts the proof that Refuse made itself.
//   - TLS is not understood: a PGLink answers an SSLRequest with 'N'.
//
// # Why not toxiproxy
//
// github.com/Shopify/toxiproxy/v2 (2.12.0) was tried as a library first. Removing
// a toxic blocks, holding the lock of the whole proxy, while a peer does not read,
// so a link to a frozen server cannot be healed. The close of one end passes
// through its timeout toxic, and an open connection cannot be reset, as SO_LINGER
// is only set when a link starts. Jitter comes from the global generator, bytes
// are counted when a connection ends, and stopping the listener closes what is
// open. Its bandwidth and latency toxics would have remained, behind a second hop
// and seven more modules.
package faults
