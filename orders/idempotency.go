package orders

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"example.com/leeway/catalog"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// Key is an Idempotency-Key with what it is valid for: one caller, one route
// and one request.
type Key struct {
	Caller      Shopper
	Route       string
	Value       string
	Fingerprint [sha256.Size]byte
}

// keyID tells keys of one route apart, whatever they were sent with.
type keyID struct {
	caller [sha256.Size]byte
	value  string
}

func (k Key) id() keyID { return keyID{k.Caller.digest, k.Value} }

// NewKey fingerprints the request. Neither method nor an escaped path holds a
// newline, so no two requests share the hashed bytes.
func NewKey(caller Shopper, route, value, method, path string, body []byte) Key {
	k := Key{Caller: caller, Route: route, Value: value}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", method, path)
	h.Write(body)
	h.Sum(k.Fingerprint[:0])
	return k
}

// Answer is what a client is told and a key remembers: the exact bytes, so that
// a replay cannot differ from the first answer.
type Answer struct {
	Status   int
	Body     []byte
	Replayed bool
	head     *head // of a new one; that of a replay is read from its bytes
}

// head is what the headers of an answer are made of, as it stands in its bytes.
type head struct {
	ID      id.ID `json:"id"`
	Version int64 `json:"version"`
}

func (o Order) head() *head { return &head{o.ID, o.Version} }
func (c Cart) head() *head  { return &head{c.ID, c.Version} }

// once runs work under the key in one transaction, or gives the answer that an
// earlier request got. The answer is stored before last runs, and nothing runs
// after last but the commit: it is for locks that must be held as briefly as
// possible. Both may run more than once.
//
// A final failure is remembered as well, or a retry after a lost 409 could
// place the order that the first answer had refused. It is stored in a second
// transaction, as the work's own was rolled back; when a twin came in between,
// the twin's answer is the key's and is given instead.
func (s *Store) once(ctx context.Context, k Key,
	work func(context.Context, *writeq.Queries) (Answer, error),
	last func(context.Context, *writeq.Queries) error,
) (Answer, error) {
	answer, err := s.claim(ctx, k, func(ctx context.Context, q *writeq.Queries) (Answer, error) {
		answer, err := work(ctx, q)
		if err != nil {
			return Answer{}, err
		}
		if err := keepTx(ctx, q, k, answer); err != nil {
			return Answer{}, err
		}
		return answer, last(ctx, q)
	})
	failure, final := encodeFailure(err)
	if final {
		answer, err = s.claim(ctx, k, func(ctx context.Context, q *writeq.Queries) (Answer, error) {
			return failure, keepTx(ctx, q, k, failure)
		})
	}
	if err == nil {
		err = answer.failure()
	}
	return answer, err
}

// claim takes the key and runs fn, or finds the key taken and returns what it
// stands for. That answer is given only after a commit that wrote (ClaimKey
// touches the row), and which therefore waited for the synchronous standby: a
// plain SELECT could acknowledge an order that no standby has.
func (s *Store) claim(ctx context.Context, k Key,
	fn func(context.Context, *writeq.Queries) (Answer, error),
) (answer Answer, err error) {
	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {
		row, err := q.ClaimKey(ctx, writeq.ClaimKeyParams{
			Caller: k.Caller.digest[:], Route: k.Route, Key: k.Value, Fingerprint: k.Fingerprint[:],
		})
		switch {
		case pgError(err).Code == lockNotAvailable:
			return fmt.Errorf("%w: %w", ErrKeyInProgress, err)
		case err != nil:
			return fmt.Errorf("claim key: %w", err)
		}
		var found bool
		if answer, found, err = k.standsFor(row.Fingerprint, row.Status, row.Response); err != nil || found {
			return err
		}
		answer, err = fn(ctx, q)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// standsFor reads a claimed row: found is false for who took the key.
func (k Key) standsFor(fingerprint []byte, status *int16, response []byte) (answer Answer, found bool, err error) {
	switch {
	case string(fingerprint) != string(k.Fingerprint[:]):
		return Answer{}, false, ErrKeyReused
	case status == nil:
		return Answer{}, false, nil
	}
	return Answer{Status: int(*status), Body: response, Replayed: true}, true, nil
}

func keepTx(ctx context.Context, q *writeq.Queries, k Key, a Answer) error {
	err := q.KeepAnswer(ctx, writeq.KeepAnswerParams{
		Status: int16(a.Status), Response: a.Body,
		Caller: k.Caller.digest[:], Route: k.Route, Key: k.Value,
	})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// failed is the status from which on a stored body is a failure: 402 for a payment
// that was declined, else a conflict. One that would be worth another try with the
// same key (412, an empty cart) is not final, and a 5xx never is.
const (
	failed   = 400
	declined = 402
	conflict = 409
)

// nothingMore is the last of once for work that locks nothing that others share.
func nothingMore(context.Context, *writeq.Queries) error { return nil }

// failure is a final failure as it is stored: not the problem document, which
// carries the id of the one request that it answered.
type failure struct {
	Code  string             `json:"code"`
	Lines []catalog.Shortage `json:"lines,omitempty"`
	Total *catalog.Money     `json:"total,omitempty"`
	Stock *int               `json:"stock,omitempty"`
}

func encodeFailure(err error) (answer Answer, final bool) {
	if err == nil {
		return Answer{}, false
	}
	var f failure
	status := conflict
	var shortage *catalog.ShortageError
	var price *PriceChangedError
	var stock *catalog.StockConflictError
	switch {
	case errors.As(err, &shortage):
		f = failure{Code: "insufficient_stock", Lines: shortage.Lines}
	case errors.As(err, &price):
		f = failure{Code: "price_changed", Total: &price.Total}
	case errors.As(err, &stock):
		f = failure{Code: "stock_conflict", Stock: &stock.Stock}
	case errors.Is(err, ErrCartClosed):
		f = failure{Code: "cart_closed"}
	case errors.Is(err, ErrPaymentDeclined):
		f, status = failure{Code: "payment_declined"}, declined
	case errors.Is(err, ErrOrderExpired):
		f = failure{Code: "order_expired"}
	case errors.Is(err, ErrNotPayable):
		f = failure{Code: "order_not_payable"}
	default:
		return Answer{}, false
	}
	body, err := json.Marshal(f)
	return Answer{Status: status, Body: body}, err == nil
}

// failure is what a kept answer stands for, nil for a success.
func (a Answer) failure() error {
	if a.Status < failed {
		return nil
	}
	return decodeFailure(a.Body)
}

func decodeFailure(body []byte) error {
	var f failure
	if err := json.Unmarshal(body, &f); err != nil {
		return fmt.Errorf("stored failure: %w", err)
	}
	switch {
	case f.Code == "insufficient_stock":
		return &catalog.ShortageError{Lines: f.Lines}
	case f.Code == "price_changed" && f.Total != nil:
		return &PriceChangedError{Total: *f.Total}
	case f.Code == "stock_conflict" && f.Stock != nil:
		return &catalog.StockConflictError{Stock: *f.Stock}
	case f.Code == "cart_closed":
		return ErrCartClosed
	case f.Code == "payment_declined":
		return ErrPaymentDeclined
	case f.Code == "order_expired":
		return ErrOrderExpired
	case f.Code == "order_not_payable":
		return ErrNotPayable
	}
	return fmt.Errorf("stored failure: unknown code %q", f.Code)
}
