package fresh

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testRing(t interface{ Fatal(...any) }, current byte, previous ...byte) *Keyring {
	var old [][]byte
	for _, b := range previous {
		old = append(old, bytes.Repeat([]byte{b}, MinTokenKey))
	}
	ring, err := NewKeyring(bytes.Repeat([]byte{current}, MinTokenKey), old...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ring := testRing(t, 1)
		want := Position{rapid.Uint32().Draw(t, "timeline"), LSN(rapid.Uint64().Draw(t, "lsn"))}
		got, err := ring.Open(ring.Seal(want))
		if err != nil || got != want {
			t.Fatalf("Open(Seal(%v)) = %v, %v", want, got, err)
		}
	})
}

func TestTokenOfAnotherKeyIsForged(t *testing.T) {
	token := testRing(t, 1).Seal(Position{1, 1})
	if _, err := testRing(t, 2).Open(token); !errors.Is(err, errTokenForged) {
		t.Errorf("err = %v, want errTokenForged", err)
	}
	if _, err := testRing(t, 2, 1).Open(token); err != nil {
		t.Errorf("the previous key must still open: %v", err)
	}
	if _, err := testRing(t, 1).Open(testRing(t, 2, 1).Seal(Position{1, 1})); !errors.Is(err, errTokenForged) {
		t.Errorf("err = %v: the previous key must not seal", err)
	}
}

// Whatever single character is changed, the seal breaks.
func TestEveryBitOfATokenIsSealed(t *testing.T) {
	ring := testRing(t, 1)
	token := ring.seal(Position{1, 0x4595CC0}, time.Unix(1_700_000_000, 0))
	for i := range token {
		for _, c := range "A_9" {
			changed := token[:i] + string(c) + token[i+1:]
			if _, err := ring.Open(changed); (err == nil) != (changed == token) {
				t.Errorf("character %d changed to %q: err = %v", i, c, err)
			}
		}
	}
}

func TestMalformedTokens(t *testing.T) {
	ring := testRing(t, 1)
	good := ring.Seal(Position{1, 1})
	for _, token := range []string{"", "x", good + "A", good[1:], strings.Repeat("!", len(good)), strings.Repeat("A", 1<<20), good[:len(good)-1] + "="} {
		if pos, err := ring.Open(token); err == nil {
			t.Errorf("Open(%.60q) = %v, want an error", token, pos)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	if _, err := NewKeyring(make([]byte, MinTokenKey-1)); err == nil {
		t.Error("a short key was taken")
	}
	long := make([]byte, MinTokenKey)
	if _, err := NewKeyring(long, long, long); err == nil {
		t.Error("a third key was taken")
	}
}

// Only what a keyring's own keys have sealed is opened, and only as it was sealed.
func FuzzOpen(f *testing.F) {
	ring := testRing(f, 1)
	good := ring.seal(Position{1, 0x4595CC0}, time.Unix(1_700_000_000, 0))
	for _, seed := range []string{
		ring.Seal(Position{1, 1}), ring.Seal(Position{}), ring.Seal(Position{1<<32 - 1, 1<<64 - 1}), testRing(f, 2).Seal(Position{1, 1}),
		"", strings.Repeat("A", 50), good[:49] + "A", "B" + good[1:], good + "=", good[:25] + "\n" + good[26:], good[:49], strings.Repeat("é", 25),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		pos, err := ring.Open(token)
		if err == nil && ring.seal(pos, issued(t, token)) != token {
			t.Errorf("%q was opened as %v but is not ours", token, pos)
		}
		if err != nil && !pos.IsZero() {
			t.Errorf("%q was refused and gave %v", token, pos)
		}
	})
}

// Whatever a request brings in its header and cookies, its floor is the greatest of the
// tokens that are ours, and nothing without one: nobody can make one up.
func FuzzTokensOfARequest(f *testing.F) {
	ring, other := testRing(f, 1), testRing(f, 2)
	r := &Router{}
	r.metrics = newMetrics(r, nil)
	low, high, foreign := ring.Seal(Position{1, 100}), ring.Seal(Position{2, 7}), other.Seal(Position{9, 1 << 40})
	for _, seed := range [][2]string{
		{"", ""},
		{low, ""},
		{low + "," + high, ""},
		{foreign, ""},
		{low + ", " + foreign + ",,", "consistency-1-64=" + high},
		{"", "consistency-1-64=" + low + "; consistency-9-10000000000=" + foreign},
		{"x", "consistency-=; consistency-ffffffff-ffffffffffffffff=x"},
		{strings.Repeat(",", 1000), "consistency-1-64=\"" + low + "\""},
		{"\x00", "=; ; ;=\xff"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, cookie string) {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header = http.Header{TokenHeader: {header}, "Cookie": {cookie}}
		got, _ := r.tokenOf(req, ring)
		var want Position
		for _, token := range sealed.FindAllString(header+" "+cookie, -1) {
			if pos, err := ring.Open(token); err == nil {
				want = want.Merge(pos)
			}
		}
		// What is ours may stand where no token is looked for, but nothing else is found.
		if got.Merge(want) != want {
			t.Errorf("header %q and cookie %q give %v, of tokens up to %v", header, cookie, got, want)
		}
	})
}

var sealed = regexp.MustCompile(`[A-Za-z0-9_-]{50}`)

func issued(t *testing.T, token string) time.Time {
	raw, err := tokenCoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	var seconds int64
	for _, b := range raw[13:tokenBody] {
		seconds = seconds<<8 | int64(b)
	}
	return time.Unix(seconds, 0)
}
