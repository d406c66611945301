package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

// Config is what the shop decides. The zero Policy is the strictest: a read
// that was forgotten here goes to the primary.
type Config struct {
	Currency string // ISO 4217; the one currency of every price
	// CartRead and OrderRead govern GET; every other request is answered from
	// its own transaction on the primary.
	CartRead, OrderRead fresh.Policy
	// PaymentWindow is how long an order waits for its payment.
	PaymentWindow time.Duration
	// HotBatch is how many checkouts that want the same hot variant may share a
	// transaction; 0 lets none.
	HotBatch int
	HotHooks HotHooks
}

// own governs what belongs to one shopper: nothing older than the session has
// seen, and within a second for a client that lost its token.
var own = fresh.Session().Within(time.Second)

// DefaultConfig sells in euros.
func DefaultConfig() Config {
	return Config{Currency: "EUR", CartRead: own, OrderRead: own, PaymentWindow: 15 * time.Minute}
}

// Store keeps carts and orders. It is safe for concurrent use.
type Store struct {
	db       *db.DB
	config   Config
	sold     sold
	combiner *combiner // nil: every checkout is alone
}

// New returns the carts and orders kept in db.
func New(db *db.DB, config Config) *Store {
	s := &Store{db: db, config: config}
	if config.HotBatch > 1 {
		s.combiner = newCombiner(s)
	}
	return s
}

// CreateCart opens a cart with the given items for who, or for a new shopper if
// who is nil. Errors: ErrUnauthorized when nobody holds the token, ErrQuantity,
// ErrTooManyLines, ErrUnavailable.
func (s *Store) CreateCart(ctx context.Context, who *Shopper, items []ItemInput) (Cart, error) {
	at, token := CartRef{ID: id.New()}, ""
	if who != nil {
		at.Shopper = *who
	} else {
		at.Shopper, token = newShopper()
	}
	var cart Cart
	err := s.write(ctx, func(ctx context.Context, q *writeq.Queries) (err error) {
		if err := createTx(ctx, q, at, who == nil); err != nil {
			return err
		}
		if err := addTx(ctx, q, at.ID, items); err != nil {
			return err
		}
		cart, err = s.cartTx(ctx, q, at)
		return err
	})
	if err != nil {
		return Cart{}, err // and the token with it: it may be nobody's
	}
	cart.ShopperToken = token
	return cart, nil
}

// createTx finds out by the missing row that nobody holds the token: asking first
// would be another round trip, and true only until the insert.
func createTx(ctx context.Context, q *writeq.Queries, at CartRef, newShopper bool) error {
	if newShopper {
		err := q.CreateShopper(ctx, writeq.CreateShopperParams{ID: id.New(), TokenDigest: at.digest()})
		if err != nil {
			return fmt.Errorf("create shopper: %w", err)
		}
	}
	n, err := q.CreateCart(ctx, writeq.CreateCartParams{ID: at.ID, TokenDigest: at.digest()})
	switch {
	case err != nil:
		return fmt.Errorf("create cart: %w", err)
	case n == 0:
		return ErrUnauthorized
	}
	return nil
}

// Cart reads a cart. Errors: ErrNotFound.
func (s *Store) Cart(ctx context.Context, at CartRef) (Cart, error) {
	rows, err := s.db.Read(s.config.CartRead).CartLines(ctx, readq.CartLinesParams{CartID: at.ID, TokenDigest: at.digest()})
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	return s.cartOf(rows)
}

// AddItem adds to the line of a variant, which it makes if need be. Errors:
// ErrNotFound, ErrCartClosed, ErrVersionMismatch, ErrQuantity, ErrTooManyLines,
// ErrUnavailable, ErrBusy.
func (s *Store) AddItem(ctx context.Context, at CartRef, item ItemInput) (Cart, error) {
	return s.change(ctx, at, func(ctx context.Context, q *writeq.Queries) error {
		return addTx(ctx, q, at.ID, []ItemInput{item})
	})
}

// AddItemOnce is AddItem under a key. render makes the bytes that are kept; it
// may run more than once. Further errors: ErrKeyReused, ErrKeyInProgress.
func (s *Store) AddItemOnce(ctx context.Context, k Key, at CartRef, item ItemInput,
	render func(Cart) (Answer, error),
) (Answer, error) {
	work := func(ctx context.Context, q *writeq.Queries) (Answer, error) {
		cart, err := s.changeTx(ctx, q, at, func(ctx context.Context, q *writeq.Queries) error {
			return addTx(ctx, q, at.ID, []ItemInput{item})
		})
		if err != nil {
			return Answer{}, err
		}
		return render(cart)
	}
	return s.once(ctx, k, work, nothingMore)
}

// SetItem sets the quantity of a variant; 0 removes its line, also one that is
// not there, so that a repeat is no error. Errors: as AddItem, but a variant
// that is unknown or not for sale is ErrNotFound.
func (s *Store) SetItem(ctx context.Context, at CartRef, item ItemInput) (Cart, error) {
	return s.change(ctx, at, func(ctx context.Context, q *writeq.Queries) error {
		if item.Quantity == 0 {
			return q.RemoveCartLine(ctx, writeq.RemoveCartLineParams{CartID: at.ID, VariantID: item.VariantID})
		}
		n, err := q.SetCartLine(ctx, writeq.SetCartLineParams{
			CartID: at.ID, VariantID: item.VariantID, Quantity: int32(item.Quantity),
		})
		if err == nil && n == 0 {
			return ErrNotFound
		}
		return lineError(err)
	})
}

// change runs fn on the locked cart and returns the cart as fn left it.
func (s *Store) change(ctx context.Context, at CartRef, fn func(context.Context, *writeq.Queries) error) (Cart, error) {
	var cart Cart
	err := s.write(ctx, func(ctx context.Context, q *writeq.Queries) (err error) {
		cart, err = s.changeTx(ctx, q, at, fn)
		return err
	})
	return cart, err
}

// changeTx locks the cart before it looks at anything, and reads it back inside
// the transaction: that read needs no replica and no token. TouchCart has counted
// the change by then, hence the -1; whatever is refused here is rolled back, the
// count with it.
func (s *Store) changeTx(ctx context.Context, q *writeq.Queries, at CartRef,
	fn func(context.Context, *writeq.Queries) error,
) (Cart, error) {
	touched, err := q.TouchCart(ctx, writeq.TouchCartParams{CartID: at.ID, TokenDigest: at.digest()})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Cart{}, ErrNotFound
	case err != nil:
		return Cart{}, fmt.Errorf("lock cart: %w", err)
	case touched.Status != cartOpen:
		return Cart{}, ErrCartClosed
	case !at.matches(touched.Version - 1):
		return Cart{}, ErrVersionMismatch
	}
	if err := fn(ctx, q); err != nil {
		return Cart{}, err
	}
	return s.cartTx(ctx, q, at)
}

// cartTx reads the cart and holds it to MaxLines. Counting before the change
// would have to tell a new line from one that grows.
func (s *Store) cartTx(ctx context.Context, q *writeq.Queries, at CartRef) (Cart, error) {
	rows, err := cartRowsTx(ctx, q, at)
	if err != nil {
		return Cart{}, err
	}
	if len(rows) > MaxLines {
		return Cart{}, ErrTooManyLines
	}
	return s.cartOf(rows)
}

// addTx adds all items or none. The prices are the catalog's at this moment, and
// stock is not looked at: only the checkout decides who gets the last one.
func addTx(ctx context.Context, q *writeq.Queries, cart id.ID, items []ItemInput) error {
	items, err := merge(items)
	if err != nil || len(items) == 0 {
		return err
	}
	add := writeq.AddCartLinesParams{CartID: cart}
	for _, item := range items {
		add.VariantIds = append(add.VariantIds, item.VariantID)
		add.Quantities = append(add.Quantities, int32(item.Quantity))
	}
	added, err := q.AddCartLines(ctx, add)
	if err != nil {
		return lineError(err)
	}
	if missing := without(add.VariantIds, added); len(missing) > 0 {
		return &UnavailableError{missing}
	}
	return nil
}

// write is the only way of this package into a transaction.
func (s *Store) write(ctx context.Context, fn func(context.Context, *writeq.Queries) error) error {
	err := s.db.Write(ctx, fn)
	if pgError(err).Code == lockNotAvailable && !errors.Is(err, ErrKeyInProgress) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

const lockNotAvailable = "55P03" // a lock was not granted within lock_timeout

// lineError reads what the net below the quantity rule caught: the sum of what
// a line had and what was added.
func lineError(err error) error {
	if pgError(err).ConstraintName == "cart_lines_quantity_check" {
		return ErrQuantity
	}
	if err != nil {
		return fmt.Errorf("change line: %w", err)
	}
	return nil
}

// pgError is what the server said, and all zero if it was not the server.
func pgError(err error) *pgconn.PgError {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg
	}
	return &pgconn.PgError{}
}
