// Package admin lets in those who run the shop: it knows the admin keys, what each
// may touch, who failed too often, and writes down what was done.
//
// A key is a secret that a program or a person sends in X-API-Key. There are no
// accounts, sessions or passwords behind it: whoever holds the secret is the name
// beside it. It promises nothing about the network; put TLS in front, or keep the
// listener on a private address.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Scope is a part of the shop that a key may change and see.
type Scope string

// The scopes.
const (
	Catalog Scope = "catalog" // categories, products, variants
	Stock   Scope = "stock"   // adjustments and the ledger
	Orders  Scope = "orders"  // everybody's orders
)

var scopes = []Scope{Catalog, Stock, Orders}

// MinSecret is the least length of a secret, in bytes. 32 random characters of
// hexadecimal are 128 bits, which no rate of guesses exhausts.
const MinSecret = 32

// minDistinct keeps out what is long and yet no secret: 32 random characters of
// hexadecimal have fewer than 8 different ones less than once in 10^7.
const minDistinct = 8

// Key is a name with what it may do. The secret is not in here, so that no log
// line, error or answer can give it away.
type Key struct {
	Name   string
	scopes []Scope
	digest [sha256.Size]byte
}

// Keys are all that are valid at the moment. Two entries of one name are how a key
// is rotated: both secrets work until the old entry is taken out.
type Keys []Key

var (
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	secretForm = regexp.MustCompile(`^[!-+\--~]+$`) // printable ASCII but for blanks and the comma
)

// ParseKeys reads entries of the form name:scope+scope:secret, separated by commas
// or line ends; a line that starts with # is a comment. An error names the entry by
// its number, and repeats nothing of it: a forgotten colon would make the secret a
// name.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			key, err := parseKey(entry)
			if err == nil && keys.find(key.digest) != nil {
				err = errors.New("has the secret of another one")
			}
			if err != nil {
				return nil, fmt.Errorf("entry %d %w", len(keys)+1, err)
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func parseKey(entry string) (Key, error) {
	parts := strings.SplitN(entry, ":", 3)
	if len(parts) != 3 {
		return Key{}, errors.New("is not name:scope+scope:secret")
	}
	key := Key{Name: parts[0], digest: sha256.Sum256([]byte(parts[2]))}
	if !nameForm.MatchString(key.Name) {
		return Key{}, errors.New("has a name that is not 1 to 64 letters, digits, dots and dashes")
	}
	for name := range strings.SplitSeq(parts[1], "+") {
		if !slices.Contains(scopes, Scope(name)) {
			return Key{}, errors.New("has a scope that is not catalog, stock or orders")
		}
		key.scopes = append(key.scopes, Scope(name))
	}
	return key, checkSecret(parts[2])
}

func checkSecret(secret string) error {
	distinct := map[rune]bool{}
	for _, c := range secret {
		distinct[c] = true
	}
	switch {
	case len(secret) < MinSecret:
		return fmt.Errorf("has a secret of %d bytes, and at least %d are needed", len(secret), MinSecret)
	case !secretForm.MatchString(secret):
		return errors.New("has a secret that no header can carry: printable ASCII without blanks and commas")
	case len(distinct) < minDistinct:
		return errors.New("has a secret that repeats few characters")
	}
	return nil
}

// find looks at every key, and at all bytes of each, whatever it has met before:
// the time it takes tells nothing about how close a guess was.
func (k Keys) find(digest [sha256.Size]byte) (found *Key) {
	for i := range k {
		if subtle.ConstantTimeCompare(k[i].digest[:], digest[:]) == 1 {
			found = &k[i]
		}
	}
	return found
}
