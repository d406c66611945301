package checker

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func kept() *History {
	s := newShop(map[string]int{"a": 3})
	ordered(s, 2).TokenOut = Position{7, math.MaxUint64 - 1}
	s.list("s1", 1, &Source{Node: "replica-2", Bound: -1, Stale: true, Reason: "lag"})
	read := s.read("s1", "c1", primary())
	read.Call, read.Return = 1_234_567_891_234_567, math.MaxInt64-1
	s.stamp()
	return s.history()
}

func TestHistorySurvivesItsFile(t *testing.T) {
	h := kept()
	var file bytes.Buffer
	if err := h.Encode(&file); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*h, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	var file bytes.Buffer
	if err := kept().Encode(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.String()
	lines := strings.SplitAfter(whole, "\n")
	for name, c := range map[string]struct{ file, want string }{
		"empty":         {"", "EOF"},
		"cut in a line": {whole[:len(whole)-9], "EOF"},
		"cut between":   {strings.Join(lines[:len(lines)-2], ""), "the head says"},
		"no head":       {strings.Join(lines[1:], ""), "not a head"},
		"newer format":  {strings.Replace(whole, `"format":1`, `"format":2`, 1), "not a head"},
		"unknown field": {strings.Replace(whole, `"kind"`, `"sort"`, 1), "unknown field"},
		"empty line":    {whole + "{}\n", "neither"},
	} {
		if _, err := Decode(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestReportCapsItsText(t *testing.T) {
	s := newShop(map[string]int{"a": 3})
	for range 50 {
		s.do(Op{Kind: Browse}).Return += time.Hour
	}
	r := Check(*s.history()).Result("deadline")
	if r.Violated != 50 || len(r.Violations) != maxFindings || r.Violations[0].Ops[0] != 0 {
		t.Errorf("%d violations, %d kept, the first %+v", r.Violated, len(r.Violations), r.Violations[0])
	}
	if text := Check(*s.history()).String(); !strings.Contains(text, "and 30 more") || !strings.Contains(text, "nothing to check") {
		t.Errorf("the report does not say what it left out:\n%s", text)
	}
}
