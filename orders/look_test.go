package orders

import (
	"slices"
	"testing"

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
