// Package orders takes a shopper from an empty cart to a placed order, and the
// order to its end: paid, cancelled, or expired when nobody paid in time.
//
// It promises exactly-once checkout (one Idempotency-Key, one order, whatever
// is retried, cut or killed), and that an order keeps the prices, names and
// total it was placed with. An order goes the way that status.go allows and no other,
// it is paid at most once, and what it took from the stock is returned exactly once
// if it is cancelled or expires. A cart and an order are seen by nobody but the
// holder of the bearer token they were made with; to everyone else they do not
// exist.
//
// It does not promise the price or the stock that a cart shows: both are the
// catalog's, read when the cart is read, and settled only by the checkout. It
// does not reserve stock for a cart. Payments are simulated: no provider is asked,
// and the client chooses the outcome. There is no account: who loses the token loses
// the cart. An order expires when a sweeper comes by ([Store.ExpireOrders]), which may
// be some time after it can no longer be paid.
package orders

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
)

// What can stand in the way. http.go gives each its status and code.
var (
	// ErrNotFound: unknown and foreign are one answer, so that a guesser learns
	// nothing from the difference.
	ErrNotFound        = errors.New("orders: not found")
	ErrUnauthorized    = errors.New("orders: not a shopper's token")
	ErrCartClosed      = errors.New("orders: the cart is not open")
	ErrCartEmpty       = errors.New("orders: the cart is empty")
	ErrVersionMismatch = errors.New("orders: another version than the expected one")
	ErrTooManyLines    = errors.New("orders: too many lines")
	ErrQuantity        = errors.New("orders: quantity out of range")
	ErrUnavailable     = errors.New("orders: not for sale")
	ErrPriceChanged    = errors.New("orders: the total is not the expected one")
	ErrTotalTooLarge   = errors.New("orders: total too large")
	ErrPaymentDeclined = errors.New("orders: the payment was declined")
	ErrOrderExpired    = errors.New("orders: the order's time to pay is over")
	ErrNotPayable      = errors.New("orders: the order does not wait for a payment")
	ErrNotCancellable  = errors.New("orders: the order can no longer be cancelled")
	ErrKeyMissing      = errors.New("orders: no idempotency key")
	ErrKeyReused       = errors.New("orders: idempotency key used for another request")
	ErrKeyInProgress   = errors.New("orders: a request with this idempotency key is being worked on")
	// ErrBusy: a row that was needed stayed locked for lock_timeout, or too many wait
	// for it already. Nothing was done; the same request may be sent again.
	ErrBusy = errors.New("orders: a lock was not to be had in time")
)

// Summary is an order as a list shows it.
type Summary struct {
	ID     id.ID  `json:"id"`
	Number string `json:"number"`
	Status Status `json:"status"`
	Totals Totals `json:"totals"`
	// ExpiresAt is nil once the order can no longer expire.
	ExpiresAt *time.Time `json:"expires_at"`
	CreatedAt time.Time  `json:"created_at"`
	Version   int64      `json:"version"`
}

// Order is a placed order, whole. Items are in the order of their variants' ids.
type Order struct {
	Summary
	Email           string  `json:"email"`
	ShippingAddress Address `json:"shipping_address"`
	Items           []Item  `json:"items"`
	History         []Step  `json:"history"`
}

// Totals are equal until there is shipping or tax to add.
type Totals struct {
	Subtotal catalog.Money `json:"subtotal"`
	Total    catalog.Money `json:"total"`
}

// Item is what was bought, as it was sold.
type Item struct {
	VariantID   id.ID           `json:"variant_id"`
	ProductSlug string          `json:"product_slug"`
	Name        string          `json:"name"`
	SKU         string          `json:"sku"`
	Options     json.RawMessage `json:"options"` // an object, as the database normalises it
	Quantity    int             `json:"quantity"`
	UnitPrice   catalog.Money   `json:"unit_price"`
	LineTotal   catalog.Money   `json:"line_total"`
}

// Step is one change of status; From is nil for the first.
type Step struct {
	At     time.Time `json:"at"`
	From   *Status   `json:"from"`
	To     Status    `json:"to"`
	Reason string    `json:"reason"`
}

// Address is where an order goes. Country is ISO 3166-1 alpha-2.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Region     string `json:"region,omitempty"`
	Country    string `json:"country"`
}

// PriceChangedError is ErrPriceChanged with the total to agree to.
type PriceChangedError struct{ Total catalog.Money }

func (e *PriceChangedError) Error() string { return ErrPriceChanged.Error() }

// Unwrap makes it an ErrPriceChanged.
func (e *PriceChangedError) Unwrap() error { return ErrPriceChanged }

// orderNumber is the order's name for people: LW-000042.
func orderNumber(n int64) string { return fmt.Sprintf("LW-%06d", n) }

// newSummary is the one place that decides what an order's status says about
// its deadline.
func newSummary(s Summary, number int64, total catalog.Money, expires, created time.Time) Summary {
	s.Number = orderNumber(number)
	s.Totals = Totals{Subtotal: total, Total: total}
	s.CreatedAt = created.UTC()
	if s.Status == PendingPayment {
		expires = expires.UTC()
		s.ExpiresAt = &expires
	}
	return s
}

// times multiplies a price with a quantity. Bounded columns (price <= 10^12,
// quantity <= 999, 100 lines: 10^17) keep below the limit; the check is for the
// day one of these bounds moves.
func times(price int64, quantity int) (int64, error) {
	if price < 0 || quantity < 0 {
		return 0, fmt.Errorf("orders: negative line: %d x %d", quantity, price)
	}
	hi, lo := bits.Mul64(uint64(price), uint64(quantity))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, ErrTotalTooLarge
	}
	return int64(lo), nil
}

// plus adds two amounts that are not negative.
func plus(a, b int64) (int64, error) {
	if a > math.MaxInt64-b {
		return 0, ErrTotalTooLarge
	}
	return a + b, nil
}
