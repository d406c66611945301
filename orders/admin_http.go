package orders

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/admin"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// AdminRoutes adds what those do who run the shop. r must have authenticated them.
func AdminRoutes(r chi.Router, store *Store, render *web.Renderer) {
	h := handlers{store}
	handle := render.With(problems...).With(adminProblems...).Handle // the first match wins
	orders := r.With(admin.Require(admin.Orders, render))
	stock := r.With(admin.Require(admin.Stock, render))

	orders.Get("/v1/admin/orders", handle(h.allOrders))
	orders.Patch("/v1/admin/orders/{id}", handle(plain(h.advance)))
	stock.Post("/v1/admin/variants/{id}/stock-adjustments", handle(plain(h.adjustStock)))
}

// adminProblems come before problems, whose words are for shoppers.
var adminProblems = []web.Mapping{
	{Err: ErrTransition, Fill: fillTransition, Problem: web.Problem{
		Status: http.StatusConflict, Code: "invalid_transition",
		Detail: "An order goes from paid to shipped, and from shipped to delivered.",
	}},
	{Err: ErrVersionMismatch, Problem: *web.PreconditionFailed},
	{Err: web.PreconditionFailed, Problem: *web.PreconditionFailed},
	{Err: ErrKeyMissing, Problem: web.Problem{
		Status: http.StatusBadRequest, Code: "idempotency_key_missing",
		Detail: "An adjustment needs an Idempotency-Key, so that it can be repeated safely.",
	}},
	{Err: catalog.ErrNotFound, Problem: *web.NotFound},
	{Err: catalog.ErrStockConflict, Fill: fillStock, Problem: web.Problem{
		Status: http.StatusConflict, Code: "stock_conflict",
		Detail: "The stock is the one given here, not the expected one. Decide anew, with a new Idempotency-Key.",
	}},
	{Err: catalog.ErrInsufficientStock, Fill: fillShortage, Problem: web.Problem{
		Status: http.StatusConflict, Code: "insufficient_stock",
		Detail: "There is less in stock than would go. Nothing was taken.",
	}},
	{Err: catalog.ErrStockTooLarge, Problem: web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "stock_too_large",
		Detail: "A variant has at most 1000000000 in stock.",
	}},
}

func fillTransition(err error, p *web.Problem) {
	var e *TransitionError
	if errors.As(err, &e) {
		p.Fields = map[string]any{"from": e.From, "to": e.To}
	}
}

func fillStock(err error, p *web.Problem) {
	var e *catalog.StockConflictError
	if errors.As(err, &e) {
		p.Fields = map[string]any{"stock": e.Stock}
	}
}

func (h handlers) allOrders(w http.ResponseWriter, r *http.Request) error {
	q, err := web.ParseQuery(r, "status", "limit", "cursor")
	if err != nil {
		return err
	}
	list := AdminList{Status: q.Enum("status", "", statuses...), Limit: q.Limit(), Cursor: q.Cursor()}
	if err := q.Err(); err != nil {
		return err
	}
	orders, next, err := h.store.AllOrders(r.Context(), list)
	if err != nil {
		return err
	}
	private(w)
	return web.SendList(w, r, orders, list.Limit, next)
}

func (h handlers) advance(w http.ResponseWriter, r *http.Request) error {
	key, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	version, err := web.RequiredMatch(r)
	if err != nil {
		return err
	}
	to, err := statusBody(w, r)
	if err != nil {
		return err
	}
	order, err := h.store.Advance(r.Context(), key, version, to)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(order.Version))
	return web.JSON(w, http.StatusOK, order)
}

func statusBody(w http.ResponseWriter, r *http.Request) (Status, error) {
	var body struct {
		Status Status `json:"status"`
	}
	if err := web.Decode(w, r, &body); err != nil {
		return "", err
	}
	var v web.Validator
	v.Check(body.Status == Shipped || body.Status == Delivered, "/status", "not_allowed", "must be shipped or delivered")
	return body.Status, v.Err()
}

func (h handlers) adjustStock(w http.ResponseWriter, r *http.Request) error {
	variant, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	body, key, err := keyed(w, r, staff(admin.Name(r.Context())), "stock-adjustments")
	if err != nil {
		return err
	}
	if key == nil {
		return ErrKeyMissing
	}
	adjustment, err := adjustmentBody(body, variant)
	if err != nil {
		return err
	}
	answer, err := h.store.AdjustStockOnce(r.Context(), *key, adjustment, answerWith[catalog.Movement](http.StatusCreated))
	return sendMovement(w, answer, err)
}

// adjustmentBody tells 0 from a number left out.
func adjustmentBody(body []byte, variant id.ID) (catalog.Adjustment, error) {
	var sent struct {
		Delta    *int   `json:"delta"`
		Reason   string `json:"reason"`
		Expected *int   `json:"expected_stock"`
	}
	if err := web.Unmarshal(body, &sent); err != nil {
		return catalog.Adjustment{}, err
	}
	a := catalog.Adjustment{VariantID: variant, Reason: sent.Reason, Expected: sent.Expected}
	if sent.Delta != nil {
		a.Delta = *sent.Delta
	}
	var v web.Validator
	inRange := a.Delta != 0 && a.Delta >= -catalog.MaxDelta && a.Delta <= catalog.MaxDelta
	v.Check(inRange, "/delta", "out_of_range", "must be up to "+strconv.Itoa(catalog.MaxDelta)+" either way, and not 0")
	v.Check(a.Expected == nil || *a.Expected >= 0, "/expected_stock", "out_of_range", "must not be negative")
	v.Text(a.Reason, "/reason", 1, 200)
	return a, v.Err()
}

// sendMovement is sendAnswer for what has neither an address nor a version.
func sendMovement(w http.ResponseWriter, a Answer, err error) error {
	if a.Replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if err != nil {
		return err
	}
	return web.Raw(w, a.Status, a.Body)
}
