package orders

import (
	"errors"
	"net/http"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/web"
)

// problems is the one place where an error of this package meets a status.
// What the database has to say (fresh.ErrCommitUnknown and the like) is the
// same for every domain, and is mapped by the caller's own table.
var problems = []web.Mapping{
	{Err: ErrNotFound, Problem: *web.NotFound},
	{Err: ErrUnauthorized, Problem: *web.Unauthorized},
	{Err: ErrVersionMismatch, Problem: versionMismatch},
	{Err: web.PreconditionFailed, Problem: versionMismatch}, // a tag that no version of ours has
	{Err: ErrCartClosed, Problem: web.Problem{
		Status: http.StatusConflict, Code: "cart_closed",
		Detail: "The cart has become an order or has expired. Start a new one.",
	}},
	{Err: catalog.ErrInsufficientStock, Fill: fillShortage, Problem: web.Problem{
		Status: http.StatusConflict, Code: "insufficient_stock",
		Detail: "There is less in stock than the cart asks for. Nothing was taken; change the cart and use a new Idempotency-Key.",
	}},
	{Err: ErrPriceChanged, Fill: fillPrice, Problem: web.Problem{
		Status: http.StatusConflict, Code: "price_changed",
		Detail: "The cart costs the total given here, not the expected one. Agree to it with a new Idempotency-Key.",
	}},
	{Err: ErrPaymentDeclined, Problem: web.Problem{
		Status: http.StatusPaymentRequired, Code: "payment_declined",
		Detail: "The payment was declined. The order still waits for one; try again with a new Idempotency-Key.",
	}},
	{Err: ErrOrderExpired, Problem: web.Problem{
		Status: http.StatusConflict, Code: "order_expired",
		Detail: "The time to pay for this order is over. Nothing was charged; start a new cart.",
	}},
	{Err: ErrNotPayable, Problem: web.Problem{
		Status: http.StatusConflict, Code: "order_not_payable",
		Detail: "The order does not wait for a payment: it was paid or cancelled. Nothing was charged.",
	}},
	{Err: ErrNotCancellable, Problem: web.Problem{
		Status: http.StatusConflict, Code: "order_not_cancellable",
		Detail: "The order has been shipped, or it has expired.",
	}},
	{Err: ErrKeyInProgress, Problem: web.Problem{
		Status: http.StatusConflict, Code: "idempotency_in_progress", RetryAfter: time.Second,
		Detail: "A request with this Idempotency-Key is being worked on. Send the same again later.",
	}},
	{Err: ErrKeyReused, Problem: web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused",
		Detail: "This Idempotency-Key was used for another path or body.",
	}},
	{Err: ErrKeyMissing, Problem: web.Problem{
		Status: http.StatusBadRequest, Code: "idempotency_key_missing",
		Detail: "This needs an Idempotency-Key, so that it can be repeated safely.",
	}},
	{Err: ErrUnavailable, Fill: fillUnavailable, Problem: web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "variant_unavailable",
		Detail: "These variants do not exist or are not for sale.",
	}},
	{Err: ErrCartEmpty, Problem: web.Problem{Status: http.StatusUnprocessableEntity, Code: "cart_empty"}},
	{Err: ErrTooManyLines, Problem: web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "too_many_lines",
		Detail: "A cart holds at most 100 different variants.",
	}},
	{Err: ErrQuantity, Problem: web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "quantity_out_of_range",
		Detail: "The quantities of a variant in a cart add up to 1..999.",
	}},
	{Err: ErrTotalTooLarge, Problem: web.Problem{Status: http.StatusUnprocessableEntity, Code: "total_too_large"}},
	{Err: ErrBusy, Problem: web.Problem{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: time.Second,
		Detail: "Too many want the same thing at once. Nothing was done; send the same again.",
	}},
}

var versionMismatch = web.Problem{
	Status: http.StatusPreconditionFailed, Code: "version_mismatch",
	Detail: "It has another version than If-Match names. Read it again.",
}

func fillShortage(err error, p *web.Problem) {
	var e *catalog.ShortageError
	if errors.As(err, &e) {
		p.Fields = map[string]any{"lines": e.Lines}
	}
}

func fillPrice(err error, p *web.Problem) {
	var e *PriceChangedError
	if errors.As(err, &e) {
		p.Fields = map[string]any{"total": e.Total}
	}
}

func fillUnavailable(err error, p *web.Problem) {
	var e *UnavailableError
	if errors.As(err, &e) {
		p.Fields = map[string]any{"variant_ids": e.VariantIDs}
	}
}
