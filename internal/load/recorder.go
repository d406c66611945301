package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in microseconds, from 1 µs to a minute, to three digits.
const (
	lowest, highest = 1, int64(time.Minute / time.Microsecond)
	digits          = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// A measure is what came of one request.
type measure struct {
	op     string
	status int // 0: no answer
	code   string
	source string        // of a read, and "" when there was none
	took   time.Duration // from when it was meant to be sent
}

// failure is "" for what the shop was asked for, whatever it decided: to be sold out is
// an answer.
func (m measure) failure() string {
	switch {
	case m.status == 0:
		return "no answer"
	case m.status >= 500 || m.status == 429:
		if m.code != "" {
			return m.code
		}
		return "5xx"
	}
	return ""
}

// recorder takes the measures of all journeys. It is safe for concurrent use.
type recorder struct {
	mu       sync.Mutex
	from     time.Time // what was meant to be sent before is warm-up
	ops      map[string]*opRecord
	sources  map[string]int
	lateness *hdrhistogram.Histogram
	interval *hdrhistogram.Histogram
	failures int // of the interval
	seconds  []Second
}

type opRecord struct {
	latency  *hdrhistogram.Histogram
	answers  map[string]int // by status and code
	failures map[string]int
}

// Second is what happened in one second of the run.
type Second struct {
	At       float64 `json:"at"` // seconds since the measured part began; negative: warm-up
	Requests int64   `json:"requests"`
	Failures int     `json:"failures"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
}

func newRecorder(from time.Time) *recorder {
	return &recorder{
		from: from, ops: map[string]*opRecord{}, sources: map[string]int{},
		lateness: newHistogram(), interval: newHistogram(),
	}
}

func clamp(d time.Duration) int64 { return min(max(d.Microseconds(), lowest), highest) }

func (r *recorder) add(meant time.Time, m measure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := clamp(m.took)
	failure := m.failure()
	_ = r.interval.RecordValue(took) // clamped
	if failure != "" {
		r.failures++
	}
	if meant.Before(r.from) {
		return
	}
	op := r.ops[m.op]
	if op == nil {
		op = &opRecord{latency: newHistogram(), answers: map[string]int{}, failures: map[string]int{}}
		r.ops[m.op] = op
	}
	if failure != "" {
		op.failures[failure]++
		if m.status == 0 {
			return
		}
	}
	_ = op.latency.RecordValue(took)
	op.answers[answerName(m.status, m.code)]++
	if m.source != "" {
		r.sources[m.source]++
	}
}

func (r *recorder) late(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.lateness.RecordValue(clamp(by))
}

// tick ends an interval.
func (r *recorder) tick(now time.Time) Second {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Second{
		At: now.Sub(r.from).Seconds(), Requests: r.interval.TotalCount(), Failures: r.failures,
		P50: quantile(r.interval, 50), P99: quantile(r.interval, 99), Max: millis(r.interval.Max()),
	}
	r.seconds = append(r.seconds, s)
	r.interval.Reset()
	r.failures = 0
	return s
}

func quantile(h *hdrhistogram.Histogram, q float64) float64 { return millis(h.ValueAtQuantile(q)) }

func millis(micros int64) float64 { return float64(micros) / 1000 }
