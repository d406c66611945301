package orders

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

const maxEmail = 254 // bytes: RFC 5321, section 4.5.3.1.3, less the angle brackets

// private keeps a shopper's data, and the token in it, out of every cache.
func private(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }

// plain is for routes without query parameters.
func plain(next func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := web.ParseQuery(r); err != nil {
			return err
		}
		private(w)
		return next(w, r)
	}
}

// shopper reads the bearer token.
func shopper(r *http.Request) (Shopper, error) {
	token, present := web.Bearer(r)
	if !present {
		return Shopper{}, ErrUnauthorized
	}
	return ParseShopper(token)
}

// optionalShopper is nil for a client that sends no Authorization at all. One
// that sends it wrongly meant to be somebody, and must not become a stranger.
func optionalShopper(r *http.Request) (*Shopper, error) {
	if _, present := web.Bearer(r); !present {
		return nil, nil
	}
	who, err := shopper(r)
	return &who, err
}

// cartRef reads token and path, in this order: who is not known is told nothing
// about the rest.
func cartRef(r *http.Request) (at CartRef, err error) {
	if at.Shopper, err = shopper(r); err != nil {
		return CartRef{}, err
	}
	at.ID, err = web.PathID(r, "id")
	return at, err
}

// cartEdit is cartRef for those who change the cart, and may say which version.
func cartEdit(r *http.Request) (CartRef, error) {
	at, err := cartRef(r)
	if err != nil {
		return CartRef{}, err
	}
	at.Version, _, err = web.IfMatch(r) // absent and * are 0: any version
	return at, err
}

func itemRef(r *http.Request) (CartRef, id.ID, error) {
	at, err := cartEdit(r)
	if err != nil {
		return CartRef{}, id.ID{}, err
	}
	variant, err := web.PathID(r, "variant_id")
	return at, variant, err
}

// keyed reads the body and the Idempotency-Key; nil is none. The fingerprint is of
// the bytes as sent: two spellings of one JSON value are two requests, which
// refuses a careless client and never confuses two orders.
func keyed(w http.ResponseWriter, r *http.Request, who Shopper, route string) ([]byte, *Key, error) {
	value, err := web.IdempotencyKey(r)
	if err != nil {
		return nil, nil, err
	}
	body, err := web.Body(w, r)
	if err != nil || value == "" {
		return body, nil, err
	}
	key := NewKey(who, route, value, r.Method, r.URL.EscapedPath(), body)
	return body, &key, nil
}

func createBody(w http.ResponseWriter, r *http.Request) ([]ItemInput, error) {
	var body struct {
		Items []ItemInput `json:"items"`
	}
	if err := web.DecodeOptional(w, r, &body); err != nil {
		return nil, err
	}
	var v web.Validator
	v.Check(len(body.Items) <= MaxLines, "/items", "too_many", "must have at most 100 elements")
	for i, item := range body.Items {
		item.validate(&v, "/items/"+strconv.Itoa(i))
	}
	return body.Items, v.Err()
}

func itemBody(body []byte) (item ItemInput, err error) {
	if err := web.Unmarshal(body, &item); err != nil {
		return ItemInput{}, err
	}
	var v web.Validator
	item.validate(&v, "")
	return item, v.Err()
}

func (i ItemInput) validate(v *web.Validator, at string) {
	v.Check(!i.VariantID.IsZero(), at+"/variant_id", "required", "must be the id of a variant")
	v.Check(i.Quantity >= 1 && i.Quantity <= MaxQuantity, at+"/quantity", "out_of_range", "must be 1..999")
}

// quantityBody tells 0, which removes the line, from a quantity left out.
func quantityBody(w http.ResponseWriter, r *http.Request) (int, error) {
	var body struct {
		Quantity *int `json:"quantity"`
	}
	if err := web.Decode(w, r, &body); err != nil {
		return 0, err
	}
	var v web.Validator
	v.Check(body.Quantity != nil, "/quantity", "required", "must be 0..999")
	if err := v.Err(); err != nil {
		return 0, err
	}
	v.Check(*body.Quantity >= 0 && *body.Quantity <= MaxQuantity, "/quantity", "out_of_range", "must be 0..999")
	return *body.Quantity, v.Err()
}

// checkoutBody reads the expected total through pointers. An amount left out
// would be 0, and a mere slip would be remembered under the key as price_changed.
func checkoutBody(body []byte, currency string) (CheckoutForm, error) {
	var sent struct {
		Email           string  `json:"email"`
		ShippingAddress Address `json:"shipping_address"`
		ExpectedTotal   *struct {
			Amount   *int64  `json:"amount"`
			Currency *string `json:"currency"`
		} `json:"expected_total"`
	}
	if err := web.Unmarshal(body, &sent); err != nil {
		return CheckoutForm{}, err
	}
	form := CheckoutForm{Email: sent.Email, ShippingAddress: sent.ShippingAddress}
	var v web.Validator
	v.Text(form.Email, "/email", 3, maxEmail)
	v.Check(isEmail(form.Email), "/email", "invalid_email", "must be an address such as ada@example.com")
	form.ShippingAddress.validate(&v)
	if t := sent.ExpectedTotal; t != nil {
		v.Check(t.Amount != nil, "/expected_total/amount", "required", "must be the total in minor units")
		v.Check(t.Amount == nil || *t.Amount >= 0, "/expected_total/amount", "out_of_range", "must not be negative")
		v.Check(t.Currency != nil, "/expected_total/currency", "required", "must be "+currency)
		v.Check(t.Currency == nil || *t.Currency == currency, "/expected_total/currency", "wrong_currency", "must be "+currency)
		if t.Amount != nil {
			form.ExpectedTotal = &catalog.Money{Amount: *t.Amount, Currency: currency}
		}
	}
	return form, v.Err()
}

// isEmail keeps out what is certainly no address. Only a mail that arrives
// proves one, and stricter patterns refuse real people.
func isEmail(s string) bool {
	local, domain, _ := strings.Cut(s, "@")
	return local != "" && domain != "" && len(s) <= maxEmail &&
		!strings.Contains(domain, "@") && !strings.ContainsFunc(s, unicode.IsSpace)
}

func (a Address) validate(v *web.Validator) {
	v.Text(a.Name, "/shipping_address/name", 1, 200)
	v.Text(a.Line1, "/shipping_address/line1", 1, 200)
	v.Text(a.Line2, "/shipping_address/line2", 0, 200)
	v.Text(a.City, "/shipping_address/city", 1, 100)
	v.Text(a.PostalCode, "/shipping_address/postal_code", 1, 20)
	v.Text(a.Region, "/shipping_address/region", 0, 100)
	v.Check(isCountry(a.Country), "/shipping_address/country", "unknown_country", "must be an ISO 3166-1 alpha-2 code, such as DE")
}

// orderRef reads token and path, in this order: who is not known is told nothing
// about the rest.
func orderRef(r *http.Request) (at OrderRef, err error) {
	if at.Shopper, err = shopper(r); err != nil {
		return OrderRef{}, err
	}
	at.ID, err = web.PathID(r, "id")
	return at, err
}

// paymentBody takes outcome for what the simulated provider is to say; it approves
// when nothing is said.
func paymentBody(body []byte) (Payment, error) {
	var sent struct {
		Method  string  `json:"method"`
		Outcome *string `json:"outcome"`
	}
	if err := web.Unmarshal(body, &sent); err != nil {
		return Payment{}, err
	}
	outcome := outcomeApproved
	if sent.Outcome != nil {
		outcome = *sent.Outcome
	}
	var v web.Validator
	v.Check(sent.Method == MethodTest, "/method", "not_allowed", "must be test")
	v.Check(outcome == outcomeApproved || outcome == outcomeDeclined, "/outcome", "not_allowed", "must be approved or declined")
	return Payment{Method: sent.Method, Declined: outcome == outcomeDeclined}, v.Err()
}

const maxReason = 200 // characters

func cancelBody(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct {
		Reason *string `json:"reason"`
	}
	if err := web.DecodeOptional(w, r, &body); err != nil || body.Reason == nil {
		return "", err
	}
	var v web.Validator
	v.Text(*body.Reason, "/reason", 0, maxReason)
	return strings.TrimSpace(*body.Reason), v.Err()
}

func listQuery(r *http.Request) (OrderList, error) {
	who, err := shopper(r)
	if err != nil {
		return OrderList{}, err
	}
	q, err := web.ParseQuery(r, "status", "limit", "cursor")
	if err != nil {
		return OrderList{}, err
	}
	list := OrderList{
		Shopper: who,
		Status:  q.Enum("status", "", statuses...),
		Limit:   q.Limit(),
		Cursor:  q.Cursor(),
	}
	return list, q.Err()
}

func sendCart(w http.ResponseWriter, status int, cart Cart) error {
	w.Header().Set("ETag", web.ETag(cart.Version))
	return web.JSON(w, status, cart)
}

// answerWith makes the bytes of an answer that is kept under a key. It runs inside
// the transaction, so what cannot be encoded does not commit.
func answerWith[T any](status int) func(T) (Answer, error) {
	return func(v T) (Answer, error) {
		body, err := web.Encode(v)
		a := Answer{Status: status, Body: body}
		if headed, ok := any(v).(interface{ head() *head }); ok {
			a.head = headed.head()
		}
		return a, err
	}
}

// sendAnswer sends a kept answer, or the failure that was kept in its place.
func sendAnswer(w http.ResponseWriter, a Answer, err error) error {
	if a.Replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if err != nil {
		return err
	}
	if a.head == nil {
		a.head = new(head)
		if err := json.Unmarshal(a.Body, a.head); err != nil {
			return fmt.Errorf("kept answer: %w", err)
		}
	}
	w.Header().Set("ETag", web.ETag(a.head.Version))
	if a.Status == http.StatusCreated {
		w.Header().Set("Location", "/v1/orders/"+a.head.ID.String())
	}
	return web.Raw(w, a.Status, a.Body)
}
