package checker

import (
	"fmt"
	"testing"
	"time"
)

// market is a run of about 20,000 operations: 2,000 shoppers who overlap, a dozen
// variants that most of them want, and one order in twenty in doubt.
func market() *History {
	stock := map[string]int{}
	for v := range 12 {
		stock[fmt.Sprintf("v%d", v)] = 150
	}
	s := newShop(stock)
	s.h.Ops = make([]Op, 0, 32_000)
	turn := 0
	s.pad = func() time.Duration { turn++; return time.Duration(1+turn*7919%80) * ms }
	for i := range 2_000 {
		session, cart, key := fmt.Sprintf("s%d", i), fmt.Sprintf("c%d", i), fmt.Sprintf("k%d", i)
		s.create(session, cart)
		s.add(session, cart, fmt.Sprintf("v%d", i%12), 1)
		s.read(session, cart, replica())
		if i%20 == 0 {
			s.doubt(session, cart, key, i%40 == 0)
		}
		if placed := s.checkout(session, cart, key); placed.Outcome == OK {
			s.readOrder(session, placed.SeenOrder.ID, replica())
		}
		s.list(session, 20, replica())
		s.read(session, cart, primary())
		s.stamp()
		s.probe(30 * ms)
		s.do(Op{Kind: Browse, Session: session})
		s.do(Op{Kind: Browse, Session: session})
	}
	return s.history()
}

func BenchmarkCheck(b *testing.B) {
	h := market()
	b.ReportMetric(float64(len(h.Ops)), "ops")
	for b.Loop() {
		if report := Check(*h); !report.OK() {
			b.Fatal(report)
		}
	}
}
