package fresh

import (
	"bytes"
	"errors"
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

func FuzzOpen(f *testing.F) {
	ring := testRing(f, 1)
	f.Add(ring.Seal(Position{1, 1}))
	f.Add("")
	f.Add(strings.Repeat("A", 50))
	f.Fuzz(func(t *testing.T, token string) {
		pos, err := ring.Open(token)
		if err == nil && ring.seal(pos, issued(t, token)) != token {
			t.Errorf("%q was opened as %v but is not ours", token, pos)
		}
	})
}

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
