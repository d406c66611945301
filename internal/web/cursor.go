package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A cursor is a version, a hash of the list that it is of, and the key of the
// last row that was shown, in base64url. It is opaque to clients, but neither
// secret nor signed: who makes one up reaches no row that the list would not
// show him anyway, since the list's own conditions hold on every page. The hash
// is against mistakes. A cursor of another list would silently skip or repeat
// rows of this one.
const (
	cursorVersion = 1
	cursorHash    = 8 // bytes of the SHA-256
	cursorHead    = 1 + cursorHash

	// maxCursor bounds what is decoded, in characters. The longest that the shop
	// makes has 1100: a product's name of 200 runes of 4 bytes behind an id.
	maxCursor = 2048
)

// NewCursor returns the cursor of list that goes on behind key. Whatever makes
// a list another one belongs into list: what it is of, its order, its filters
// and, if it is private, whose it is.
func NewCursor(list string, key []byte) string {
	b := append([]byte{cursorVersion}, listHash(list)...)
	return base64.RawURLEncoding.EncodeToString(append(b, key...))
}

// OpenCursor returns the key of a cursor, or InvalidCursor for one that is not
// of this list. Anybody can make a cursor that opens: the caller checks that the
// database can read its key. One cursor has one spelling.
func OpenCursor(cursor, list string) ([]byte, error) {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // which base64 skips
		return nil, InvalidCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < cursorHead || b[0] != cursorVersion || !bytes.Equal(b[1:cursorHead], listHash(list)) {
		return nil, InvalidCursor
	}
	return b[cursorHead:], nil
}

func listHash(list string) []byte {
	sum := sha256.Sum256([]byte(list))
	return sum[:cursorHash]
}
