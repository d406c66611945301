package drill

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/checker"
)

const ms = time.Millisecond

// op is one request, in milliseconds.
func op(kind checker.Kind, outcome checker.Outcome, call, ret int) checker.Op {
	o := checker.Op{Kind: kind, Outcome: outcome, Call: time.Duration(call) * ms, Return: time.Duration(ret) * ms, Status: 200}
	if outcome == checker.Failed {
		o.Status, o.Code = 503, "primary_unavailable"
	}
	return o
}

func TestReads(t *testing.T) {
	const ok, no = checker.OK, checker.Failed
	for name, tc := range map[string]struct {
		ops  []checker.Op
		want Reads
	}{
		"all answered": {
			[]checker.Op{op(checker.Browse, ok, 90, 110), op(checker.Browse, ok, 110, 160), op(checker.Browse, ok, 158, 165)},
			Reads{Answered: 3, Gap: 50 * ms, Slowest: 50 * ms},
		},
		"before the kill, and after the end": {
			[]checker.Op{op(checker.Browse, no, 80, 95), op(checker.Browse, ok, 100, 110), op(checker.Browse, no, 990, 1001)},
			Reads{Answered: 1, Gap: 10 * ms, Slowest: 10 * ms},
		},
		"one refused": { // from its call to the next answer
			[]checker.Op{op(checker.Browse, ok, 100, 110), op(checker.Browse, no, 120, 130), op(checker.Browse, ok, 131, 140)},
			Reads{Answered: 2, Refused: 1, Unavailable: 20 * ms, Gap: 30 * ms, Slowest: 10 * ms},
		},
		"several at once are one outage": {
			[]checker.Op{op(checker.Browse, no, 120, 130), op(checker.Browse, no, 110, 150), op(checker.Browse, no, 140, 160), op(checker.Browse, ok, 160, 170)},
			Reads{Answered: 1, Refused: 3, Unavailable: 60 * ms, Gap: 70 * ms, Slowest: 10 * ms},
		},
		"two outages": {
			[]checker.Op{op(checker.Browse, no, 110, 120), op(checker.Browse, ok, 120, 125), op(checker.Browse, no, 115, 130), op(checker.Browse, ok, 130, 140)},
			Reads{Answered: 2, Refused: 2, Unavailable: 30 * ms, Gap: 25 * ms, Slowest: 10 * ms}, // 110-125 and 125-140
		},
		"sent before the kill": {
			[]checker.Op{op(checker.Browse, no, 50, 120), op(checker.Browse, ok, 120, 130)},
			Reads{Answered: 1, Refused: 1, Unavailable: 30 * ms, Gap: 30 * ms, Slowest: 10 * ms},
		},
		"never again": {
			[]checker.Op{op(checker.Browse, ok, 100, 110), op(checker.Browse, no, 120, 130), op(checker.Browse, no, 130, 200)},
			Reads{Answered: 1, Refused: 2, Unavailable: 80 * ms, Gap: 10 * ms, Slowest: 10 * ms},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := measure(tc.ops, 100*ms, 0, 1000*ms).Lists
			if n := got.Because["primary_unavailable"]; n != tc.want.Refused {
				t.Errorf("%d refusals have a reason", n)
			}
			got.Because = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrites(t *testing.T) {
	soldOut := op(checker.Checkout, checker.Failed, 130, 140)
	soldOut.Status = 409
	got := measure([]checker.Op{
		op(checker.CreateCart, checker.OK, 90, 105), // on its way when the kill was noted
		op(checker.Checkout, checker.Unknown, 100, 120),
		soldOut,
		op(checker.Checkout, checker.Failed, 150, 160),
		op(checker.Browse, checker.OK, 200, 210),
		op(checker.Checkout, checker.OK, 150, 410),
		op(checker.AddItem, checker.OK, 420, 430),
	}, 100*ms, 300*ms, 1000*ms).Writes
	want := Writes{Answered: 3, Refused: 1, InDoubt: 1, Unavailable: 305 * ms, AfterPromote: 110 * ms}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEachKindOfReadIsItsOwn(t *testing.T) {
	withToken := op(checker.Browse, checker.OK, 100, 110)
	withToken.TokenIn = checker.Position{Timeline: 1, LSN: 7}
	r := measure([]checker.Op{
		op(checker.Browse, checker.OK, 100, 110), withToken,
		op(checker.ReadProbe, checker.OK, 100, 110), op(checker.ReadProbe, checker.OK, 100, 110),
		op(checker.ReadCart, checker.OK, 100, 110), op(checker.ReadOrder, checker.OK, 100, 110), op(checker.ListOrders, checker.OK, 100, 110),
	}, 100*ms, 0, 1000*ms)
	if r.Lists.Answered != 1 || r.Pages.Answered != 2 || r.Own.Answered != 4 || r.Writes != (Writes{}) {
		t.Errorf("%+v", r)
	}
}

func TestLostOrders(t *testing.T) {
	placed := func(id string) checker.Op {
		o := op(checker.Checkout, checker.OK, 0, 1)
		o.SeenOrder = &checker.Order{ID: id}
		return o
	}
	refused := op(checker.Checkout, checker.Failed, 0, 1)
	var r Report
	r.countOrders([]checker.Op{placed("a"), placed("b"), placed("b"), placed("c"), refused},
		checker.Node{Orders: []checker.Order{{ID: "a"}, {ID: "c"}, {ID: "x"}}})
	if r.Placed != 3 || r.Lost != 1 {
		t.Errorf("%d placed, %d lost", r.Placed, r.Lost)
	}
	if r.Writes.Answered = 1; r.OK() {
		t.Error("a drill that lost an order is no success")
	}
}
