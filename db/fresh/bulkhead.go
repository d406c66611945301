package fresh

import (
	"context"
	"sync/atomic"
	"time"
)

// bulkhead caps the reads that may be on the primary at once. When every
// replica dies, the reads of the whole shop arrive there, and without a cap
// they take checkout down with them.
type bulkhead struct {
	slots chan struct{}
	wait  time.Duration
	shed  atomic.Int64
}

// enter takes a slot, and queues for one no longer than wait. It returns
// ErrOverloaded when none came free.
func (b *bulkhead) enter(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		b.shed.Add(1)
		return ErrOverloaded
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bulkhead) leave() { <-b.slots }
