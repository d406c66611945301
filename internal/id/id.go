// Package id is the one place where Leeway makes and parses identifiers.
//
// An ID is a UUIDv7 (RFC 9562, section 5.7): its first 48 bits are a Unix
// time in milliseconds, so new rows land at the right edge of their indexes.
// It is an identifier, not a secret: whoever sees one learns when it was made
// and may guess a neighbour. Access is guarded by bearer tokens instead.
package id

import (
	"encoding/hex"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ID is a UUID. The zero value is the nil UUID and never names a row.
type ID [16]byte

// Max is above every other ID (RFC 9562, section 5.10): where a list that runs
// downwards starts.
var Max = ID(uuid.Max)

// New returns a fresh UUIDv7. It is safe for concurrent use, and the values
// that one process makes only ever increase. It panics if the operating
// system yields no randomness, as crypto/rand itself does.
func New() ID { return ID(uuid.Must(uuid.NewV7())) }

var errForm = errors.New("id: not a UUID of 36 characters in lower case")

// Parse reads the form that String writes and refuses any other: uuid.Parse
// would also take capitals, braces, a URN prefix and 32 bare digits, and one row
// would then have several addresses. (RFC 9562, section 4, wants readers to
// ignore case; that is for UUIDs that others made.)
func Parse(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s {
		return ID{}, errForm // err may quote s
	}
	return ID(u), nil
}

// String returns the canonical form.
func (i ID) String() string { return uuid.UUID(i).String() }

// IsZero reports whether i is the nil UUID.
func (i ID) IsZero() bool { return i == ID{} }

// MarshalText implements encoding.TextMarshaler, for JSON.
func (i ID) MarshalText() ([]byte, error) { return uuid.UUID(i).MarshalText() }

// AppendText implements encoding.TextAppender. The error is always nil.
func (i ID) AppendText(b []byte) ([]byte, error) {
	b = append(hex.AppendEncode(b, i[:4]), '-')
	b = append(hex.AppendEncode(b, i[4:6]), '-')
	b = append(hex.AppendEncode(b, i[6:8]), '-')
	b = append(hex.AppendEncode(b, i[8:10]), '-')
	return hex.AppendEncode(b, i[10:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler, for JSON.
func (i *ID) UnmarshalText(text []byte) (err error) {
	*i, err = Parse(string(text))
	return err
}

// ScanUUID implements pgtype.UUIDScanner. NULL is an error: a nullable column
// is scanned into a *ID.
func (i *ID) ScanUUID(v pgtype.UUID) error {
	if !v.Valid {
		return errors.New("id: cannot scan NULL into an ID")
	}
	*i = v.Bytes
	return nil
}

// UUIDValue implements pgtype.UUIDValuer.
func (i ID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: i, Valid: true}, nil }
