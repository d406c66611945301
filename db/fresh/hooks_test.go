package fresh_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

// notes is a hook that remembers.
type notes struct {
	mu    sync.Mutex
	reads map[string]map[string]float64 // by node and reason
	works []done
}

type done struct {
	fresh.Work
	fresh.Outcome
	parent any // the work in whose context it began
}

type noteKey struct{}

func (n *notes) hooks() fresh.Hooks {
	n.reads = map[string]map[string]float64{}
	return fresh.Hooks{
		Read: func(_ context.Context, s fresh.Served) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.reads[s.Node] == nil {
				n.reads[s.Node] = map[string]float64{}
			}
			n.reads[s.Node][s.Reason.String()]++
		},
		Start: func(ctx context.Context, w fresh.Work) (context.Context, func(fresh.Outcome)) {
			parent := ctx.Value(noteKey{})
			return context.WithValue(ctx, noteKey{}, w.Kind), func(o fresh.Outcome) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.works = append(n.works, done{w, o, parent})
			}
		},
	}
}

// take returns the works that have ended since the last time.
func (n *notes) take() []done {
	n.mu.Lock()
	defer n.mu.Unlock()
	works := n.works
	n.works = nil
	return works
}

func noted(n *notes, registry *prometheus.Registry) func(*fresh.Config) {
	return func(c *fresh.Config) { c.Hooks, c.Metrics, c.FallbackConns = n.hooks(), registry, 1 }
}

// What the hook is told is what is counted, whoever answers, and also when nobody
// does.
func TestTheReadHookIsToldOfWhatIsCounted(t *testing.T) {
	n, registry := new(notes), prometheus.NewRegistry()
	b := setup(t, noted(n, registry))
	b.read(t, fresh.Bounded(5*second), fresh.Position{})
	b.read(t, fresh.Strong(), fresh.Position{})
	b.Pause(t)
	token := b.add(t)
	b.read(t, fresh.Session(), token)

	// The one place on the primary is taken, so one more is shed.
	ctx, _ := session(t, token)
	err := b.router.Snapshot(ctx, fresh.Session(), func(context.Context, fresh.ReadTx) error {
		_, _, err := b.tryRead(t, fresh.Session(), token)
		if !errors.Is(err, fresh.ErrOverloaded) {
			t.Errorf("a read beyond the cap: %v, want ErrOverloaded", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue(); f.GetName() == "leeway_reads_total" && v > 0 {
				node, reason := m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue()
				if counted[node] == nil {
					counted[node] = map[string]float64{}
				}
				counted[node][reason] = v
			}
		}
	}
	if diff := cmp.Diff(counted, n.reads); diff != "" {
		t.Errorf("counted (-) and told (+):\n%s", diff)
	}
	primary := n.reads[b.Primary().Name()]
	if want := map[string]float64{"policy": 1, "token": 2, "shed": 1}; !cmp.Equal(primary, want) {
		t.Errorf("on the primary %v, want %v", primary, want)
	}
}

func TestTheStartHookSeesEachKindOfWork(t *testing.T) {
	n := new(notes)
	b := setup(t, noted(n, prometheus.NewRegistry()))
	want := func(what string, works ...done) {
		t.Helper()
		got := n.take()
		for i := range got {
			if i < len(works) && works[i].Served.Bound == proven && got[i].Served.Bound >= 0 {
				got[i].Served.Bound = proven
			}
		}
		same := cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) || errors.Is(b, a) })
		if diff := cmp.Diff(works, got, cmp.AllowUnexported(done{}), same); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", what, diff)
		}
	}
	primary := fresh.Served{Node: b.Primary().Name(), Primary: true}

	_, served := b.read(t, fresh.Bounded(5*second), fresh.Position{})
	want("a bounded read", done{
		Work:    fresh.Work{SQL: readCounter},
		Outcome: fresh.Outcome{Served: fresh.Served{Node: served.Node, Bound: proven}, Tries: 1},
	})

	token := b.add(t)
	wrote := primary
	wrote.Reason = fresh.ReasonPolicy
	want("a write",
		done{fresh.Work{Kind: fresh.WorkCommit}, fresh.Outcome{Served: wrote, Tries: 1}, fresh.WorkWrite},
		done{fresh.Work{Kind: fresh.WorkWrite}, fresh.Outcome{Served: wrote, Tries: 1}, nil})

	b.Pause(t)
	b.read(t, fresh.Session(), b.add(t))
	n.take()
	ctx, _ := session(t, b.add(t))
	n.take()
	if err := b.router.Snapshot(ctx, fresh.Session(), func(context.Context, fresh.ReadTx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	behind := primary
	behind.Reason = fresh.ReasonToken
	if got := n.take(); len(got) != 1 || got[0].Kind != fresh.WorkSnapshot || got[0].Served != behind || got[0].Tries < 1 {
		t.Errorf("a snapshot that no replica can have: %+v", got)
	}

	// A rollback ends at the error of the function, and commits nothing.
	oops := errors.New("oops")
	err := b.router.Write(t.Context(), func(context.Context, fresh.WriteTx) error { return oops })
	if !errors.Is(err, oops) {
		t.Fatal(err)
	}
	want("a rollback", done{fresh.Work{Kind: fresh.WorkWrite}, fresh.Outcome{Served: wrote, Tries: 1, Err: oops}, nil})

	// A token of a promotion that nobody here has seen: nobody is asked.
	future := fresh.Position{Timeline: token.Timeline + 1, LSN: token.LSN}
	_, _, _ = b.tryRead(t, fresh.Session(), future)
	want("a read that nobody may answer", done{
		Work:    fresh.Work{SQL: readCounter},
		Outcome: fresh.Outcome{Served: fresh.Served{Reason: fresh.ReasonTimeline}, Err: fresh.ErrNoPrimary},
	})
}

// proven stands for any bound that was.
const proven = time.Duration(1)

// The end of a commit is told when it ends, and not when its caller leaves.
func TestACommitEndsAfterItsCaller(t *testing.T) {
	n := new(notes)
	b := setup(t, noted(n, prometheus.NewRegistry()))
	withoutStandbys(t, b)
	ctx, leave := context.WithCancel(context.Background())
	result := addInBackground(ctx, b.router)
	waitingCommit(t, b)
	leave()
	if err := <-result; !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Fatalf("err = %v, want ErrCommitUnknown", err)
	}
	works := n.take()
	if len(works) != 1 || works[0].Kind != fresh.WorkWrite || !errors.Is(works[0].Err, fresh.ErrCommitUnknown) {
		t.Errorf("when the caller left: %+v, want the end of the write alone", works)
	}
	for _, node := range b.Replicas() {
		dbtest.Do(t, node.Thaw)
	}
	dbtest.Eventually(t, "the commit has ended", func() bool { works = n.take(); return len(works) > 0 })
	if works[0].Kind != fresh.WorkCommit || works[0].Err != nil {
		t.Errorf("when the standbys were back: %+v, want a commit without an error", works)
	}
}

// The pools are measured while somebody holds their only connection and another one
// gives up waiting for it.
func TestPoolsAreMeasured(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := setup(t, func(c *fresh.Config) { c.WriteConns, c.Metrics = 1, registry })
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- b.router.Write(context.Background(), func(context.Context, fresh.WriteTx) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.router.Write(ctx, func(context.Context, fresh.WriteTx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a write without a connection: %v, want context.Canceled", err)
	}
	pool := []string{b.Primary().Name(), "write"}
	for name, want := range map[string]float64{
		"leeway_pool_connections{in_use}": 1, "leeway_pool_connections{idle}": 0,
		"leeway_pool_connections_limit": 1, "leeway_pool_acquires_total": 1, "leeway_pool_waits_total": 1,
		"leeway_pool_given_up_total": 1, "leeway_pool_dialled_total": 1,
	} {
		if got := poolMetric(t, registry, name, pool...); got != want {
			t.Errorf("%s of %v is %v, want %v", name, pool, got, want)
		}
	}
	if waited := poolMetric(t, registry, "leeway_pool_wait_seconds_total", pool...); waited <= 0 {
		t.Errorf("waited %v s for the first connection, want more than 0", waited)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// poolMetric reads one series; its state, if it has one, stands in braces.
func poolMetric(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			series := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "state" {
					series += "{" + l.GetValue() + "}"
				} else {
					values = append(values, l.GetValue())
				}
			}
			if series == name && cmp.Equal(values, labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no series %s of %v", name, labels)
	return 0
}
