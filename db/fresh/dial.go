package fresh

import (
	"context"
	"net"
	"time"
)

// userTimeout is how long sent data may stay unacknowledged before the kernel
// gives a connection up. Keep-alives do not help there: they are not sent while
// data is in flight, so without it a write to a vanished host hangs for minutes.
const userTimeout = 2 * time.Second

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second, Control: setUserTimeout}
	return dialer.DialContext(ctx, network, address)
}
