// Package id is the one place where Leeway makes and parses identifiers.
//
// An ID is a UUIDv7 (RFC 9562, section 5.7): its first 48 bits are a Unix
// time in milliseconds, so new rows land at the right edge of their indexes.
// It is an identifier, not a secret: whoever sees one learns when it was made
// and may guess a neighbour. Access is guarded by bearer tokens instead.
package id

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ID is a UUID. The zero value is the nil UUID and never names a row.
type ID [16]byte

// New returns a fresh UUIDv7. It is safe for concurrent use, and the values
// that one process makes only ever increase. It panics if the operating
// system yields no randomness, as crypto/rand itself does.
func New() ID { return ID(uuid.Must(uuid.NewV7())) }

// Parse reads the canonical form of 36 characters and refuses any other
// (uuid.Parse would also take braces, a URN prefix and 32 bare digits, and one
// row would then have several addresses).
func Parse(s string) (ID, error) {
	if len(s) != 36 {
		return ID{}, fmt.Errorf("id: want 36 characters, got %d", len(s))
	}
	u, err := uuid.Parse(s)
	return ID(u), err
}

// String returns the canonical form.
func (i ID) String() string { return uuid.UUID(i).String() }

// IsZero reports whether i is the nil UUID.
func (i ID) IsZero() bool { return i == ID{} }

// MarshalText implements encoding.TextMarshaler, for JSON.
func (i ID) MarshalText() ([]byte, error) { return uuid.UUID(i).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler, for JSON.
func (i *ID) UnmarshalText(text []byte) (err error) {
	*i, err = Parse(string(text))
	return err
}

// ScanUUID implements pgtype.UUIDScanner. NULL is an error: a nullable column
// is scanned into a *ID.
func (i *ID) ScanUUID(v pgtype.UUID) error {
	if !v.Valid {
		return fmt.Errorf("id: cannot scan NULL into an ID")
	}
	*i = v.Bytes
	return nil
}

// UUIDValue implements pgtype.UUIDValuer.
func (i ID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: i, Valid: true}, nil }
