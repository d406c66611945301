package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A cursor is a version, a hash of the list that it is of, the bookmark of the
// page before (how far its read saw), and the key of the last row that was shown, in
// base64url. It is opaque to clients, but neither
// secret nor signed: who makes one up reaches no row that the list would not
// show him anyway, since the list's own conditions hold on every page. The hash
// is against mistakes. A cursor of another list would silently skip or repeat
// rows of this one. The bookmark is sealed by whoever made it, and is his to open.
const (
	cursorVersion = 2
	cursorHash    = 8 // bytes of the SHA-256
	cursorHead    = 1 + cursorHash + 1

	// maxCursor bounds what is decoded, in characters. The longest that the shop
	// makes has 1170: a product's name of 200 runes of 4 bytes behind an id and a
	// bookmark of 50 characters.
	maxCursor = 2048
)

// NewCursor returns the cursor of list that goes on behind key, with a bookmark of at
// most 255 bytes. Whatever makes
// a list another one belongs into list: what it is of, its order, its filters
// and, if it is private, whose it is.
func NewCursor(list, bookmark string, key []byte) string {
	b := append([]byte{cursorVersion}, listHash(list)...)
	b = append(b, byte(len(bookmark)))
	b = append(b, bookmark...)
	return base64.RawURLEncoding.EncodeToString(append(b, key...))
}

// OpenCursor returns the bookmark and the key of a cursor, or InvalidCursor for one
// that is not of this list. Anybody can make a cursor that opens: the caller checks
// that the database can read its key. One cursor has one spelling.
func OpenCursor(cursor, list string) (bookmark string, key []byte, err error) {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // which base64 skips
		return "", nil, InvalidCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < cursorHead || b[0] != cursorVersion || !bytes.Equal(b[1:cursorHead-1], listHash(list)) {
		return "", nil, InvalidCursor
	}
	size, rest := int(b[cursorHead-1]), b[cursorHead:]
	if len(rest) < size {
		return "", nil, InvalidCursor
	}
	return string(rest[:size]), rest[size:], nil
}

func listHash(list string) []byte {
	sum := sha256.Sum256([]byte(list))
	return sum[:cursorHash]
}
