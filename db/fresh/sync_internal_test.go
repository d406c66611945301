package fresh

import "testing"

func TestQuorum(t *testing.T) {
	for names, want := range map[string]int{
		"":                      0,
		"*":                     1,
		"replica_1":             1,
		"replica_1, replica_2":  1,
		"ANY 1 (a, b)":          1,
		"any 2 (a, b, c)":       2,
		"FIRST 2 (a,b)":         2,
		" 3 (a, b, c)":          3,
		`"ANY 2 (x)"`:           1, // a name
		"ANY 12(a)":             12,
		"first_1, any_2 , c(d)": 1,
	} {
		if got := (syncView{names: names}).quorum(); got != want {
			t.Errorf("%q: %d, want %d", names, got, want)
		}
	}
}

func TestConfirmed(t *testing.T) {
	quorum := func(flushed LSN) Standby {
		return Standby{State: "streaming", Sync: "quorum", Flushed: flushed, Replayed: flushed - 1}
	}
	catchingUp := Standby{State: "catchup", Sync: "quorum", Flushed: 99}
	spare := Standby{State: "streaming", Sync: "potential", Flushed: 99}
	for _, c := range []struct {
		what     string
		names    string
		standbys []Standby
		want     LSN
		known    bool
	}{
		{"none is there", "ANY 1 (a)", nil, 0, true},
		{"the furthest of two", "ANY 1 (a, b)", []Standby{quorum(5), quorum(7)}, 7, true},
		{"both of two", "ANY 2 (a, b)", []Standby{quorum(5), quorum(7)}, 5, true},
		{"one of two is missing", "ANY 2 (a, b)", []Standby{quorum(5)}, 0, true},
		{"one that does not count yet", "a", []Standby{catchingUp}, 0, true},
		{"one that does not count", "a, b", []Standby{spare, {State: "streaming", Sync: "sync", Flushed: 3}}, 3, true},
		{"no right to see it", "a", []Standby{{Name: "a"}}, 0, false},
	} {
		if got, known := (syncView{c.names, c.standbys}).confirmed(levelFlush); got != c.want || known != c.known {
			t.Errorf("%s: %v, %v, want %v, %v", c.what, got, known, c.want, c.known)
		}
	}
	if got, _ := (syncView{"a", []Standby{quorum(5)}}).confirmed(levelApply); got != 4 {
		t.Errorf("remote_apply: %v, want what is replayed", got)
	}
}
