package fresh

import "testing"

func TestLSNIsComparedAsANumber(t *testing.T) {
	nine, err := ParseLSN("0/9")
	if err != nil {
		t.Fatal(err)
	}
	sixteen, err := ParseLSN("0/10")
	if err != nil {
		t.Fatal(err)
	}
	if nine >= sixteen {
		t.Error("0/9 must come before 0/10, though its text comes after")
	}
	if "0/9" <= "0/10" {
		t.Error("the texts no longer differ in order: choose others")
	}
}

func TestParseLSN(t *testing.T) {
	for text, want := range map[string]LSN{
		"0/0": 0, "0/41AC000": 0x41AC000, "16/B374D848": 0x16_B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1,
	} {
		got, err := ParseLSN(text)
		if err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %v, %v; want %v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
	for _, text := range []string{"", "0", "0/", "/0", "G/0", "0/100000000", "-1/0", "0/0/0"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %v, want an error", text, got)
		}
	}
}

func TestReached(t *testing.T) {
	tests := []struct {
		name       string
		pos, floor Position
		want       bool
	}{
		{"at the floor", Position{1, 10}, Position{1, 10}, true},
		{"past it", Position{1, 11}, Position{1, 10}, true},
		{"before it", Position{1, 9}, Position{1, 10}, false},
		{"no floor", Position{}, Position{}, true},
		{"unknown position", Position{}, Position{1, 10}, false},
		{"ahead on a dead timeline", Position{1, 99}, Position{2, 10}, false},
		{"ahead on a newer timeline", Position{2, 99}, Position{1, 10}, false},
	}
	for _, tt := range tests {
		if got := tt.pos.Reached(tt.floor); got != tt.want {
			t.Errorf("%s: %v.Reached(%v) = %v", tt.name, tt.pos, tt.floor, got)
		}
	}
}

func TestMerge(t *testing.T) {
	tests := []struct{ a, b, want Position }{
		{Position{1, 10}, Position{1, 11}, Position{1, 11}},
		{Position{1, 99}, Position{2, 10}, Position{2, 10}}, // newer history wins, though shorter
		{Position{}, Position{1, 1}, Position{1, 1}},
	}
	for _, tt := range tests {
		if got := tt.a.Merge(tt.b); got != tt.want {
			t.Errorf("%v.Merge(%v) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
		if got := tt.b.Merge(tt.a); got != tt.want {
			t.Errorf("%v.Merge(%v) = %v, want %v", tt.b, tt.a, got, tt.want)
		}
	}
}
