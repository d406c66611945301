package orders

import "sync/atomic"

// sold counts what a store has sold since its process began.
type sold struct{ orders, units atomic.Int64 }

// add is called after the commit: what was rolled back was not sold.
func (s *sold) add(items []Item) {
	units := 0
	for _, item := range items {
		units += item.Quantity
	}
	s.orders.Add(1)
	s.units.Add(int64(units))
}

// Sold returns how many orders this store has placed, and the units in them. One whose
// outcome was unknown at first is not among them, and those that ended later still are:
// it is for a rate, the books are in the database.
func (s *Store) Sold() (orders, units int64) { return s.sold.orders.Load(), s.sold.units.Load() }
