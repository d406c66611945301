package pgcluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort picks below the ephemeral ranges of Linux (32768) and macOS (49152).
// A port from inside could be taken by any outgoing connection while its node is
// down; worse, a client that dials the dead node might get connected to itself.
func FreePort(ctx context.Context) (int, error) {
	var last error
	var listen net.ListenConfig
	for range 50 {
		port := 15000 + rand.IntN(15000)
		l, err := listen.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no free port: %w", last)
}
