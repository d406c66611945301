package orders

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// tokenBytes makes a token of 256 bits: 43 characters, not to be guessed.
const tokenBytes = 32

// Shopper is whoever holds a bearer token, known by the SHA-256 of the token's
// bytes. The token itself is not in here, so that no log line, error or row can
// give it away; a fast hash is enough for 256 random bits.
type Shopper struct{ digest [sha256.Size]byte }

// newShopper makes a shopper and their token, which exists nowhere else.
func newShopper() (Shopper, string) {
	secret := make([]byte, tokenBytes)
	rand.Read(secret) // never fails; the process ends if the system has no randomness
	return Shopper{sha256.Sum256(secret)}, base64.RawURLEncoding.EncodeToString(secret)
}

// ParseShopper reads a token. It knows the form only, not whether anybody holds
// the token. Strict decoding: stray bits in the last character would give one
// secret four spellings.
func ParseShopper(token string) (Shopper, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return Shopper{}, ErrUnauthorized
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(secret) != tokenBytes {
		return Shopper{}, ErrUnauthorized // err quotes a part of the token
	}
	return Shopper{sha256.Sum256(secret)}, nil
}
