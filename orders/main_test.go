package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("elsewhere", 5400) // so that a missing UTC() shows
	dbtest.Main(m)
}

// shop is a whole stack over a database of its own: HTTP in, rows out. Only the
// network is left out, since nothing here depends on it.
type shop struct {
	*dbtest.Env
	store   *Store
	handler http.Handler
	product id.ID
}

func newShop(t testing.TB, options ...func(*Config)) *shop {
	env := dbtest.New(t)
	config := DefaultConfig()
	for _, option := range options {
		option(&config)
	}
	s := &shop{Env: env, store: New(env.DB, config), product: id.New()}
	router := chi.NewRouter()
	render := web.NewRenderer(slog.New(slog.NewTextHandler(t.Output(), nil)))
	router.Use(web.RequestID)
	router.NotFound(render.NotFound)
	router.Use(env.Router.Middleware(keys))
	Routes(router, s.store, render)
	s.handler = router

	admin := env.Admin(t, env.Primary())
	category := id.New()
	s.exec(t, admin, `INSERT INTO categories (id, slug, name) VALUES ($1, 'tea', 'Tea')`, category)
	s.exec(t, admin, `INSERT INTO products (id, category_id, slug, name) VALUES ($1, $2, 'green-tea', 'Green tea')`, s.product, category)
	return s
}

func hotBatch(n int) func(*Config) { return func(c *Config) { c.HotBatch = n } }

// heat makes the variant hot for as long as the test may take.
func (s *shop) heat(variant id.ID) {
	h := s.store.combiner.heat
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until[variant] = time.Now().Add(time.Hour)
	h.any.Store(true)
}

// transactions is how many placed the orders that are there. None of their rows may
// have been changed since.
func (s *shop) transactions(t testing.TB) int {
	t.Helper()
	return one[int](t, s, "SELECT count(DISTINCT xmin::text) FROM orders")
}

// keys seal the tokens and bookmarks of every shop here.
var keys = func() *fresh.Keyring {
	ring, err := fresh.NewKeyring(bytes.Repeat([]byte{1}, fresh.MinTokenKey))
	if err != nil {
		panic(err)
	}
	return ring
}()

// variant adds a variant of the shop's one product.
func (s *shop) variant(t testing.TB, price int64, stock int) id.ID {
	t.Helper()
	variant := id.New()
	admin := s.Admin(t, s.Primary())
	defer admin.Close(context.Background())
	s.exec(t, admin,
		`WITH made AS (
			INSERT INTO variants (id, product_id, sku, options, price, stock_quantity)
			VALUES ($1, $2, $3, jsonb_build_object('size', $3::text), $4, $5)
			RETURNING id, stock_quantity
		)
		INSERT INTO stock_movements (variant_id, kind, delta, before, after)
		SELECT id, 'initial', stock_quantity, 0, stock_quantity FROM made`,
		variant, s.product, "T-"+variant.String()[19:], price, stock)
	return variant
}

// stock is what the primary has of a variant.
func (s *shop) stock(t *testing.T, variant id.ID) int {
	t.Helper()
	return one[int](t, s, "SELECT stock_quantity FROM variants WHERE id = $1", variant)
}

func (s *shop) exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// one returns the only value of a query on the primary. It leaves no connection
// behind: tests that run at once share those that their cluster allows.
func one[T any](t testing.TB, s *shop, sql string, args ...any) (v T) {
	t.Helper()
	conn := s.Admin(t, s.Primary())
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// client is one shopper's browser: it keeps the bearer token and the
// consistency token from request to request. Not for concurrent use.
type client struct {
	shop     *shop
	bearer   string
	position fresh.Position
}

// reply is an answer, read to its end.
type reply struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// do sends a request; headers come in pairs. A string body goes as it is.
func (c *client) do(t testing.TB, method, path string, body any, headers ...string) reply {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("Content-Type", "application/json")
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if !c.position.IsZero() {
		r.Header.Set(fresh.TokenHeader, keys.Seal(c.position))
	}
	w := httptest.NewRecorder()
	c.shop.handler.ServeHTTP(w, r)
	if token := w.Header().Get(fresh.TokenHeader); token != "" {
		position, err := keys.Open(token)
		if err != nil {
			t.Fatal(err)
		}
		c.position = position
	}
	return reply{w, t}
}

// want fails the test unless the answer has this status, and this code if it is
// a problem.
func (r reply) want(status int, code string) reply {
	r.t.Helper()
	var problem struct{ Code string }
	if r.Code >= 400 {
		r.decode(&problem)
	}
	if r.Code != status || problem.Code != code {
		r.t.Fatalf("got %d %q, want %d %q: %s", r.Code, problem.Code, status, code, r.Body)
	}
	return r
}

func (r reply) decode(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.Body.Bytes(), v); err != nil {
		r.t.Fatalf("%v in %q", err, r.Body)
	}
}

func (r reply) cart() (c Cart)   { r.t.Helper(); r.decode(&c); return c }
func (r reply) order() (o Order) { r.t.Helper(); r.decode(&o); return o }

// newCart makes a shopper with a cart of the given items.
func (s *shop) newCart(t testing.TB, items ...ItemInput) (*client, Cart) {
	t.Helper()
	c := &client{shop: s}
	cart := c.do(t, "POST", "/v1/carts", map[string]any{"items": items}).want(201, "").cart()
	c.bearer = cart.ShopperToken
	return c, cart
}

// nextCart is another cart of the same shopper.
func (c *client) nextCart(t testing.TB, items ...ItemInput) Cart {
	t.Helper()
	return c.do(t, "POST", "/v1/carts", map[string]any{"items": items}).want(201, "").cart()
}

func checkoutPath(cart Cart) string { return "/v1/carts/" + cart.ID.String() + "/checkout" }

func cartPath(cart Cart) string { return "/v1/carts/" + cart.ID.String() }

// form is a body that a checkout accepts.
func form() CheckoutForm {
	return CheckoutForm{
		Email: "ada@example.com",
		ShippingAddress: Address{
			Name: "Ada Lovelace", Line1: "12 St James's Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB",
		},
	}
}

func euros(cents int64) catalog.Money { return catalog.Money{Amount: cents, Currency: "EUR"} }

// audit checks what must hold whenever nothing is running: money, stock and
// ledger agree, and each kept success names an order that is there.
func (s *shop) audit(t *testing.T) {
	t.Helper()
	for what, sql := range map[string]string{
		"orders whose total is not the sum of their lines": `SELECT count(*) FROM orders o
			WHERE total <> (SELECT coalesce(sum(quantity * unit_price), -1) FROM order_lines WHERE order_id = o.id)`,
		"order lines without their one ledger row": `SELECT count(*) FROM order_lines l
			WHERE (SELECT count(*) FROM stock_movements m WHERE m.order_id = l.order_id AND m.variant_id = l.variant_id
				AND m.kind = 'checkout' AND m.delta = -l.quantity) <> 1`,
		"ledger rows without an order line": `SELECT count(*) FROM stock_movements m WHERE kind = 'checkout'
			AND NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = m.order_id AND l.variant_id = m.variant_id)`,
		"variants whose stock is not the sum of their movements": `SELECT count(*) FROM variants v
			WHERE stock_quantity <> (SELECT coalesce(sum(delta), 0) FROM stock_movements m WHERE m.variant_id = v.id)`,
		"movements that do not follow another": `SELECT count(*) FROM stock_movements m WHERE kind <> 'initial' AND NOT EXISTS
			(SELECT FROM stock_movements b WHERE b.variant_id = m.variant_id AND b.after = m.before AND b.id <> m.id)`,
		"lines of ended orders that were not returned once, under the order's own status": `SELECT count(*)
			FROM order_lines l JOIN orders o ON o.id = l.order_id
			WHERE (SELECT array_agg(concat(kind, ' ', delta)) FROM stock_movements m
				WHERE m.order_id = l.order_id AND m.variant_id = l.variant_id AND kind <> 'checkout')
			IS DISTINCT FROM CASE WHEN o.status IN ('cancelled', 'expired') THEN ARRAY[concat(o.status, ' ', l.quantity)] END`,
		"movements whose id is no UUIDv7": `SELECT count(*) FROM stock_movements WHERE kind <> 'initial' AND substr(id::text, 15, 1) <> '7'`,
		"orders whose payments do not fit their status": `SELECT count(*) FROM orders o
			WHERE NOT CASE (SELECT coalesce(string_agg(outcome, ' ' ORDER BY outcome), '') FROM payments p
					WHERE p.order_id = o.id AND outcome <> 'declined')
				WHEN '' THEN status IN ('pending_payment', 'cancelled', 'expired')
				WHEN 'approved' THEN status IN ('paid', 'shipped', 'delivered')
				WHEN 'approved refunded' THEN status = 'cancelled'
				ELSE false END`,
		"payments of another amount": `SELECT count(*) FROM payments p JOIN orders o ON o.id = p.order_id
			WHERE (p.amount, p.currency) <> (o.total, o.currency)`,
		"orders whose history does not lead to their status": `SELECT count(*) FROM orders o
			WHERE (o.version, o.status) <> (SELECT count(*), (array_agg(to_status ORDER BY version DESC))[1] FROM order_history WHERE order_id = o.id)
				OR EXISTS (SELECT FROM (SELECT *, lag(to_status) OVER w AS was, lag(at) OVER w AS was_at FROM order_history
					WHERE order_id = o.id WINDOW w AS (ORDER BY version)) h WHERE h.was IS DISTINCT FROM h.from_status OR h.at < h.was_at)`,
		"carts and orders that disagree": `SELECT count(*) FROM carts c
			WHERE (status = 'ordered') <> EXISTS (SELECT FROM orders o WHERE o.cart_id = c.id)`,
		"orders without their first step": `SELECT count(*) FROM orders o
			WHERE NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = o.id AND h.version = 1 AND h.from_status IS NULL)`,
		"kept orders that are not there": `SELECT count(*) FROM idempotency_keys k WHERE status = 201
			AND NOT EXISTS (SELECT FROM orders o WHERE o.id = (convert_from(k.response, 'UTF8')::jsonb ->> 'id')::uuid)`,
		"keys without an answer": `SELECT count(*) FROM idempotency_keys WHERE status IS NULL OR response IS NULL`,
	} {
		if n := one[int](t, s, sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// together runs n functions at once and waits for them.
func together(n int, fn func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() { start.Wait(); fn(i) })
	}
	start.Done()
	done.Wait()
}
