package orders

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/id"
)

// TestLooksAreShared: who asks while a question is under way shares the next. The answer
// is as new as the newest of their sessions, though no replica is.
func TestLooksAreShared(t *testing.T) {
	s := newHotShop(t, 10)
	cold := s.shop.variant(t, 450, 10)
	s.Pause(t)
	_, none := s.newCart(t, ItemInput{cold, 1})
	c, both := s.newCart(t, ItemInput{cold, 1}, ItemInput{s.variant, 1})

	l := &s.store.combiner.looks
	l.asking = true // somebody
	first, second := l.join(none.ID, c.position), l.join(both.ID, c.position)
	third := l.join(id.New(), c.position)
	if first != second || second != third {
		t.Error("three ask three questions")
	}
	l.run()
	<-first.done
	if got := first.hot[both.ID]; !slices.Equal(got, []id.ID{s.variant}) {
		t.Errorf("hot in the cart are %v, want %s", got, s.variant)
	}
	if len(first.hot) != 1 || l.asking || l.next != nil {
		t.Errorf("%d carts are hot; asking: %v", len(first.hot), l.asking)
	}
}

// TestAPanicInALookIsNoAnswer: a hook of the program is called on the way of every read,
// and of this one on no request's goroutine.
func TestAPanicInALookIsNoAnswer(t *testing.T) {
	s := newHotShop(t, 10)
	var panics atomic.Bool
	config := s.Config()
	config.Hooks.Start = func(ctx context.Context, w fresh.Work) (context.Context, func(fresh.Outcome)) {
		if strings.Contains(w.SQL, "name: HotCarts ") && panics.Swap(false) {
			panic("mine")
		}
		return ctx, nil
	}
	l := &s.store.combiner.looks
	l.db = db.New(s.NewRouter(t, config))
	var told error
	l.failed = func(err error) { told = err }
	c, at := s.newCart(t, ItemInput{s.variant, 1})
	ctx := fresh.WithCarrier(t.Context(), fresh.NewCarrier(c.position))

	panics.Store(true)
	if hot := l.into(ctx, at.ID); hot != nil || panics.Load() || told == nil {
		t.Errorf("hot are %v; it did not panic: %v; told was %v", hot, panics.Load(), told)
	}
	if hot := l.into(ctx, at.ID); !slices.Equal(hot, []id.ID{s.variant}) {
		t.Errorf("the next look finds %v, want %s", hot, s.variant)
	}
}
