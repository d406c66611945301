package fresh

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The token, 37 bytes, sent as 50 characters of unpadded base64url (RFC 4648):
//
//	version 1 | timeline 4 | LSN 8 | issued, Unix seconds 8 | HMAC-SHA256, cut to 16
//
// It is sealed because it is a claim on the primary: whoever could make one up
// could send every read there. It is no secret and names nobody; a service may
// hand it to another along with the work.
const (
	tokenVersion = 1
	tokenBody    = 1 + 4 + 8 + 8
	tokenSize    = tokenBody + 16
	// MinTokenKey is the length of the shortest key, in bytes.
	MinTokenKey = 32
)

// Why a token that was sent is treated as if it had not been.
var (
	errTokenMalformed = errors.New("fresh: malformed consistency token")
	errTokenForged    = errors.New("fresh: consistency token with a wrong seal")
)

var tokenCoding = base64.RawURLEncoding.Strict()

// Keyring seals and opens tokens. It is safe for concurrent use.
type Keyring struct{ keys [][]byte }

// NewKeyring takes the key that seals and, during a rotation, the one before
// it, whose tokens are still opened. Keys are secret, random, and at least
// MinTokenKey bytes long; every process that serves the same clients has the
// same ones.
func NewKeyring(current []byte, previous ...[]byte) (*Keyring, error) {
	if len(previous) > 1 {
		return nil, errors.New("fresh: a keyring holds two keys, the current and the previous one")
	}
	ring := &Keyring{keys: append([][]byte{current}, previous...)}
	for _, key := range ring.keys {
		if len(key) < MinTokenKey {
			return nil, fmt.Errorf("fresh: a token key has %d bytes; it needs at least %d", len(key), MinTokenKey)
		}
	}
	return ring, nil
}

// Seal returns the token for a position.
func (k *Keyring) Seal(pos Position) string { return k.seal(pos, time.Now()) }

func (k *Keyring) seal(pos Position, issued time.Time) string {
	token := make([]byte, tokenBody, tokenSize)
	token[0] = tokenVersion
	binary.BigEndian.PutUint32(token[1:], pos.Timeline)
	binary.BigEndian.PutUint64(token[5:], uint64(pos.LSN))
	binary.BigEndian.PutUint64(token[13:], uint64(issued.Unix()))
	return tokenCoding.EncodeToString(append(token, mac(k.keys[0], token)...))
}

// Open returns the position in a token that this keyring, or one with the same
// key, has sealed. The length is checked before anything is decoded.
func (k *Keyring) Open(token string) (Position, error) {
	if len(token) != tokenCoding.EncodedLen(tokenSize) {
		return Position{}, errTokenMalformed
	}
	raw, err := tokenCoding.DecodeString(token)
	if err != nil || raw[0] != tokenVersion {
		return Position{}, errTokenMalformed
	}
	body, seal := raw[:tokenBody], raw[tokenBody:]
	for _, key := range k.keys {
		if hmac.Equal(seal, mac(key, body)) {
			return Position{
				Timeline: binary.BigEndian.Uint32(body[1:]),
				LSN:      LSN(binary.BigEndian.Uint64(body[5:])),
			}, nil
		}
	}
	return Position{}, errTokenForged
}

func mac(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)[:tokenSize-tokenBody]
}
