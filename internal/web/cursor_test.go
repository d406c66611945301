package web_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"example.com/leeway/internal/web"
)

func TestCursorOpensOnItsList(t *testing.T) {
	t.Parallel()
	// The longest key of the shop: an id and a name of 200 runes of 4 bytes.
	for _, key := range []string{"", "k", strings.Repeat("\xff", 16) + strings.Repeat("😀", 200)} {
		for _, bookmark := range []string{"", "b", strings.Repeat("B", 50)} {
			cursor := web.NewCursor("products by name", bookmark, []byte(key))
			gotBookmark, got, err := web.OpenCursor(cursor, "products by name")
			if err != nil || string(got) != key || gotBookmark != bookmark {
				t.Errorf("a key of %d bytes came back as %q, behind %q, %v", len(key), got, gotBookmark, err)
			}
		}
	}
}

func TestOpenCursorRefuses(t *testing.T) {
	t.Parallel()
	good := web.NewCursor("list", "", []byte("key"))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	raw[0]++
	// 13 bytes: the last character has 2 bits of them and 4 that are 0.
	stray := []byte(web.NewCursor("list", "", []byte("key")))
	stray[len(stray)-1]++
	for name, cursor := range map[string]string{
		"another list's":  web.NewCursor("other", "", []byte("key")),
		"another version": base64.RawURLEncoding.EncodeToString(raw),
		"empty":           "",
		"head cut":        good[:8],
		"no base64":       strings.Repeat("!", len(good)),
		"padded":          good + "=",
		"newline inside":  good[:4] + "\n" + good[4:],
		"stray bits":      string(stray),
		"bookmark cut":    web.NewCursor("list", "bookmark", nil)[:18],
		"too long":        web.NewCursor("list", "", bytes.Repeat([]byte("k"), 1530)),
	} {
		_, key, err := web.OpenCursor(cursor, "list")
		if !errors.Is(err, web.InvalidCursor) || key != nil {
			t.Errorf("%s: %q, %v; want InvalidCursor", name, key, err)
		}
	}
}

func FuzzOpenCursor(f *testing.F) {
	for _, seed := range []string{
		web.NewCursor("list", "mark", []byte("key")), web.NewCursor("list", "", nil), web.NewCursor("other", "", nil), "", "AAAA", strings.Repeat("A", 3000),
		web.NewCursor("list", strings.Repeat("m", 255), []byte{0xff}), web.NewCursor("list", "mark", nil) + "=",
	} {
		f.Add(seed)
	}
	for n := range 3 { // stray bits in the last character of two of them
		c := web.NewCursor("list", "mark", make([]byte, n))
		f.Add(c[:len(c)-1] + string(c[len(c)-1]+1))
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		bookmark, key, err := web.OpenCursor(cursor, "list")
		if err == nil && web.NewCursor("list", bookmark, key) != cursor {
			t.Errorf("%q has a second spelling", cursor)
		}
	})
}
