package orders

import (
	"context"
	"encoding/binary"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// A place is where a page of the order list ends: the keys of its last row, and how
// far the read saw.
type place struct {
	createdAt time.Time // microseconds, as the database keeps them
	id        id.ID
	bookmark  string // fresh.Carrier.Bookmark
}

// newest is above every order.
var newest = place{createdAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), id: id.Max}

// placeLen is the time in microseconds and the id.
const placeLen = 8 + 16

// cursor needs no signature: with a forged place a shopper reaches their own
// orders and no others, because every page asks for the bearer token's rows. Its
// bookmark is sealed, and keeps page 2 from being older than page 1 also for a client
// that carries no token along.
func (p place) cursor(who Shopper, status string) string {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, placeLen), uint64(p.createdAt.UnixMicro()))
	return web.NewCursor(listOf(who, status), p.bookmark, append(key, p.id[:]...))
}

// parseCursor is web.InvalidCursor for a cursor of another shopper or filter. No
// cursor is the first page.
func parseCursor(cursor string, who Shopper, status string) (place, error) {
	if cursor == "" {
		return newest, nil
	}
	bookmark, key, err := web.OpenCursor(cursor, listOf(who, status))
	if err != nil {
		return place{}, err
	}
	if len(key) != placeLen {
		return place{}, web.InvalidCursor
	}
	p := place{createdAt: time.UnixMicro(int64(binary.BigEndian.Uint64(key))).UTC(), id: id.ID(key[8:]), bookmark: bookmark}
	if p.createdAt.After(newest.createdAt) || p.createdAt.Year() < 2000 {
		return place{}, web.InvalidCursor // outside of what timestamptz or an order can hold
	}
	return p, nil
}

// resume makes the page at least as fresh as the one before it.
func (p place) resume(ctx context.Context) error {
	if p == newest {
		return nil
	}
	if fresh.CarrierFrom(ctx).Resume(p.bookmark) != nil {
		return web.InvalidCursor
	}
	return nil
}

func listOf(who Shopper, status string) string {
	return "orders " + string(who.digest[:]) + status
}
