package orders

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

// Routes adds what a shopper does with their own cart and orders. All of it
// needs the shopper's bearer token, but for the request that makes one.
func Routes(r chi.Router, store *Store, render *web.Renderer) {
	h := handlers{store}
	handle := render.With(problems...).Handle

	r.Post("/v1/carts", handle(plain(h.createCart)))
	r.Get("/v1/carts/{id}", handle(plain(h.cart)))
	r.Post("/v1/carts/{id}/items", handle(plain(h.addItem)))
	r.Put("/v1/carts/{id}/items/{variant_id}", handle(plain(h.setItem)))
	r.Delete("/v1/carts/{id}/items/{variant_id}", handle(plain(h.removeItem)))
	r.Post("/v1/carts/{id}/checkout", handle(plain(h.checkout)))
	r.Get("/v1/orders", handle(h.orders))
	r.Get("/v1/orders/{id}", handle(plain(h.order)))
	r.Post("/v1/orders/{id}/payments", handle(plain(h.pay)))
	r.Post("/v1/orders/{id}/cancel", handle(plain(h.cancel)))
}

type handlers struct{ store *Store }

// createCart takes no Idempotency-Key: a repeat leaves a cart that nobody fills,
// which holds no stock and costs a row.
func (h handlers) createCart(w http.ResponseWriter, r *http.Request) error {
	who, err := optionalShopper(r)
	if err != nil {
		return err
	}
	items, err := createBody(w, r)
	if err != nil {
		return err
	}
	cart, err := h.store.CreateCart(r.Context(), who, items)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/carts/"+cart.ID.String())
	return sendCart(w, http.StatusCreated, cart)
}

// cart has an ETag, for the If-Match of those who change the cart. It heeds no
// condition itself: the version does not count the catalog's prices and stock, so a
// 304 would keep old ones on screen.
func (h handlers) cart(w http.ResponseWriter, r *http.Request) error {
	at, err := cartRef(r)
	if err != nil {
		return err
	}
	cart, err := h.store.Cart(r.Context(), at)
	if err != nil {
		return err
	}
	return sendCart(w, http.StatusOK, cart)
}

// addItem adds, so without a key a repeat adds twice. Who will not keep a key sets
// the quantity with PUT instead.
func (h handlers) addItem(w http.ResponseWriter, r *http.Request) error {
	at, err := cartEdit(r)
	if err != nil {
		return err
	}
	body, key, err := keyed(w, r, at.Shopper, "items")
	if err != nil {
		return err
	}
	item, err := itemBody(body)
	if err != nil {
		return err
	}
	if key == nil {
		cart, err := h.store.AddItem(r.Context(), at, item)
		if err != nil {
			return err
		}
		return sendCart(w, http.StatusOK, cart)
	}
	answer, err := h.store.AddItemOnce(r.Context(), *key, at, item, answerWith[Cart](http.StatusOK))
	return sendAnswer(w, answer, err)
}

func (h handlers) setItem(w http.ResponseWriter, r *http.Request) error {
	at, variant, err := itemRef(r)
	if err != nil {
		return err
	}
	quantity, err := quantityBody(w, r)
	if err != nil {
		return err
	}
	cart, err := h.store.SetItem(r.Context(), at, ItemInput{variant, quantity})
	if err != nil {
		return err
	}
	return sendCart(w, http.StatusOK, cart)
}

func (h handlers) removeItem(w http.ResponseWriter, r *http.Request) error {
	at, variant, err := itemRef(r)
	if err != nil {
		return err
	}
	cart, err := h.store.SetItem(r.Context(), at, ItemInput{variant, 0})
	if err != nil {
		return err
	}
	return sendCart(w, http.StatusOK, cart)
}

// checkout asks for the key before it looks at the form: who sends neither learns
// first what makes the repeat safe. A form that is refused is not kept under its
// key, so the corrected one may use the key again.
func (h handlers) checkout(w http.ResponseWriter, r *http.Request) error {
	at, err := cartEdit(r)
	if err != nil {
		return err
	}
	body, key, err := keyed(w, r, at.Shopper, "checkout")
	if err != nil {
		return err
	}
	if key == nil {
		return ErrKeyMissing
	}
	form, err := checkoutBody(body, h.store.config.Currency)
	if err != nil {
		return err
	}
	answer, err := h.store.Checkout(r.Context(), *key, at, form, answerWith[Order](http.StatusCreated))
	return sendAnswer(w, answer, err)
}

func (h handlers) orders(w http.ResponseWriter, r *http.Request) error {
	list, err := listQuery(r)
	if err != nil {
		return err
	}
	orders, next, err := h.store.Orders(r.Context(), list)
	if err != nil {
		return err
	}
	private(w)
	return web.SendList(w, r, orders, list.Limit, next)
}

// order answers 304 too: unlike a cart, an order shows nothing that its version does
// not count.
func (h handlers) order(w http.ResponseWriter, r *http.Request) error {
	at, err := orderRef(r)
	if err != nil {
		return err
	}
	order, err := h.store.Order(r.Context(), at.Shopper, at.ID)
	if err != nil || web.NotModified(w, r, web.ETag(order.Version)) {
		return err
	}
	return web.JSON(w, http.StatusOK, order)
}

func (h handlers) pay(w http.ResponseWriter, r *http.Request) error {
	at, err := orderRef(r)
	if err != nil {
		return err
	}
	body, key, err := keyed(w, r, at.Shopper, "payments")
	if err != nil {
		return err
	}
	if key == nil {
		return ErrKeyMissing
	}
	payment, err := paymentBody(body)
	if err != nil {
		return err
	}
	answer, err := h.store.Pay(r.Context(), *key, at, payment, answerWith[Order](http.StatusOK))
	return sendAnswer(w, answer, err)
}

// cancel needs no key: an order is cancelled once, and a repeat finds that it is.
func (h handlers) cancel(w http.ResponseWriter, r *http.Request) error {
	at, err := orderRef(r)
	if err != nil {
		return err
	}
	if at.Version, _, err = web.IfMatch(r); err != nil { // absent and * are 0: any version
		return err
	}
	reason, err := cancelBody(w, r)
	if err != nil {
		return err
	}
	order, err := h.store.Cancel(r.Context(), at, reason)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(order.Version))
	return web.JSON(w, http.StatusOK, order)
}
