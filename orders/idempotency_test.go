package orders

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/catalog"
	"example.com/leeway/db/fresh"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

// TestReplayIsTheSameAnswer also holds the replay to writing: a commit that
// only reads does not wait for the standby.
func TestReplayIsTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 1})
	add := func() reply {
		return c.do(t, "POST", cartPath(cart)+"/items", ItemInput{variant, 1}, "Idempotency-Key", "add").want(200, "")
	}
	order := func() reply {
		return c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "order").want(201, "")
	}
	for _, step := range []struct {
		name string
		send func() reply
	}{{"add", add}, {"order", order}} {
		name, first, second := step.name, step.send(), step.send()
		if diff := cmp.Diff(first.Body.String(), second.Body.String()); diff != "" {
			t.Errorf("%s (-first +replay):\n%s", name, diff)
		}
		if first.Header().Get("ETag") != second.Header().Get("ETag") {
			t.Errorf("%s: ETag %s became %s", name, first.Header().Get("ETag"), second.Header().Get("ETag"))
		}
		if got := second.Header().Get("Idempotent-Replayed"); got != "true" {
			t.Errorf("%s: Idempotent-Replayed is %q", name, got)
		}
		if !one[bool](t, s, "SELECT replayed_at IS NOT NULL FROM idempotency_keys WHERE key = $1", name) {
			t.Errorf("%s: the replay wrote nothing", name)
		}
	}
	if got := c.do(t, "GET", cartPath(cart), nil).want(200, "").cart().Items[0].Quantity; got != 2 {
		t.Errorf("quantity %d after one add and its replays, want 2", got)
	}
	s.audit(t)
}

func TestKeyIsForOneRequestOfOneShopper(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 10)
	c, cart := s.newCart(t, ItemInput{variant, 1})
	other := c.nextCart(t, ItemInput{variant, 1})
	stranger, theirs := s.newCart(t, ItemInput{variant, 1})
	changed := form()
	changed.Email = "grace@example.com"

	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "")
	c.do(t, "POST", checkoutPath(cart), changed, "Idempotency-Key", "k").want(422, "idempotency_key_reused")
	c.do(t, "POST", checkoutPath(other), form(), "Idempotency-Key", "k").want(422, "idempotency_key_reused")
	stranger.do(t, "POST", checkoutPath(theirs), form(), "Idempotency-Key", "k").want(201, "")
	c.do(t, "POST", cartPath(other)+"/items", ItemInput{variant, 1}, "Idempotency-Key", "k").want(200, "")
	if got := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, ""); got.Header().Get("Idempotent-Replayed") != "true" {
		t.Error("the refused reuse has spoiled the key")
	}
	c.do(t, "POST", checkoutPath(other), form()).want(400, "idempotency_key_missing")
	s.audit(t)
}

// TestFinalFailuresAreKept: a retry after a lost 409 gets the 409, though by now
// the order could be placed.
func TestFinalFailuresAreKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	variant := s.variant(t, 450, 1)
	c, cart := s.newCart(t, ItemInput{variant, 2})
	admin := s.Admin(t, s.Primary())
	shortage := []catalog.Shortage{{VariantID: variant, Requested: 2, Available: 1}}
	low := form()
	low.ExpectedTotal = &catalog.Money{Amount: 899, Currency: "EUR"}

	type problem struct {
		RequestID string `json:"request_id"`
		Lines     []catalog.Shortage
		Total     *catalog.Money
	}
	send := func(body CheckoutForm, key, code string) (p problem, replayed bool) {
		r := c.do(t, "POST", checkoutPath(cart), body, "Idempotency-Key", key).want(409, code)
		r.decode(&p)
		return p, r.Header().Get("Idempotent-Replayed") == "true"
	}
	first, replayed := send(form(), "short", "insufficient_stock")
	if diff := cmp.Diff(shortage, first.Lines); diff != "" || replayed {
		t.Errorf("first answer, replayed %v (-want +got):\n%s", replayed, diff)
	}
	s.exec(t, admin, "UPDATE variants SET stock_quantity = 10 WHERE id = $1", variant)
	s.exec(t, admin, "INSERT INTO stock_movements (id, variant_id, kind, delta, before, after) VALUES ($1, $2, 'adjustment', 9, 1, 10)", id.New(), variant)
	second, replayed := send(form(), "short", "insufficient_stock")
	if diff := cmp.Diff(shortage, second.Lines); diff != "" || !replayed {
		t.Errorf("second answer, replayed %v (-want +got):\n%s", replayed, diff)
	}
	if second.RequestID == first.RequestID || second.RequestID == "" {
		t.Errorf("request %q is answered with the id %q", second.RequestID, first.RequestID)
	}

	for want := range 2 {
		p, replayed := send(low, "cheap", "price_changed")
		if p.Total == nil || *p.Total != euros(900) || replayed != (want == 1) {
			t.Errorf("total %v, replayed %v", p.Total, replayed)
		}
	}
	if n := one[int](t, s, "SELECT count(*) FROM orders"); n != 0 {
		t.Errorf("%d orders after nothing but refusals", n)
	}

	agreed := form()
	agreed.ExpectedTotal = &catalog.Money{Amount: 900, Currency: "EUR"}
	c.do(t, "POST", checkoutPath(cart), agreed, "Idempotency-Key", "agreed").want(201, "")
	send(form(), "closed", "cart_closed")
	if _, replayed := send(form(), "closed", "cart_closed"); !replayed {
		t.Error("cart_closed was worked out again")
	}
	s.audit(t)
}

// TestPassingFailuresAreNotKept: the same key works once the cause is gone.
func TestPassingFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, cart := s.newCart(t)
	send := func(headers ...string) reply {
		return c.do(t, "POST", checkoutPath(cart), form(), append(headers, "Idempotency-Key", "k")...)
	}
	send().want(422, "cart_empty")
	send("If-Match", `"7"`).want(412, "version_mismatch")
	c.do(t, "POST", cartPath(cart)+"/items", ItemInput{s.variant(t, 450, 1), 1}).want(200, "")
	send("If-Match", `"2"`).want(201, "")
	s.audit(t)
}

// TestKeyInFlight holds the key's row as a request that is still being worked on
// would, for longer than lock_timeout.
func TestKeyInFlight(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, cart := s.newCart(t, ItemInput{s.variant(t, 450, 1), 1})
	who, err := ParseShopper(c.bearer)
	if err != nil {
		t.Fatal(err)
	}
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, `INSERT INTO idempotency_keys (caller, route, key, fingerprint) VALUES ($1, 'checkout', 'k', '')`, who.digest[:])

	r := c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(409, "idempotency_in_progress")
	if r.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.exec(t, admin, "ROLLBACK")
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "")
	s.audit(t)
}

// TestLockedCartIsBusy: nothing was done, and the client may try again.
func TestLockedCartIsBusy(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c, cart := s.newCart(t, ItemInput{s.variant(t, 450, 1), 1})
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	s.exec(t, admin, "SELECT FROM carts WHERE id = $1 FOR UPDATE", cart.ID)
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(503, "busy")
	s.exec(t, admin, "ROLLBACK")
	c.do(t, "POST", checkoutPath(cart), form(), "Idempotency-Key", "k").want(201, "")
}

// TestFailureMeetsTwin lets a request fail while its twin waits for the key.
// Whichever of them then gets the key, both must give its one answer.
func TestFailureMeetsTwin(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	who, _ := newShopper()
	key := NewKey(who, "checkout", "k", "POST", "/", nil)
	nothing := func(context.Context, *writeq.Queries) error { return nil }
	admin := s.Admin(t, s.Primary())
	waiting := func() bool {
		var n int
		err := admin.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	}
	type outcome struct {
		answer Answer
		err    error
	}
	twin := make(chan outcome, 1)
	answer, err := s.store.once(t.Context(), key, func(context.Context, *writeq.Queries) (Answer, error) {
		go func() {
			a, err := s.store.once(t.Context(), key, func(context.Context, *writeq.Queries) (Answer, error) {
				return Answer{Status: http.StatusOK, Body: []byte("twin")}, nil
			}, nothing)
			twin <- outcome{a, err}
		}()
		dbtest.Eventually(t, "the twin waits for the key", waiting)
		return Answer{}, ErrCartClosed
	}, nothing)
	other := <-twin
	answer.Replayed, other.answer.Replayed = false, false
	if diff := cmp.Diff(answer, other.answer, cmp.AllowUnexported(Answer{})); diff != "" || !errors.Is(err, other.err) {
		t.Errorf("one key, two answers: %v and %v (-failed +twin):\n%s", err, other.err, diff)
	}
	s.audit(t)
}

// TestAnswersStayBesideTheirKeys: an answer of two lines is 1,150 bytes. On another page than
// its key it would need two more entries in indexes.
func TestAnswersStayBesideTheirKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	admin := s.Admin(t, s.Primary())
	s.exec(t, admin, "BEGIN")
	claim, keep := writeq.ClaimKeysParams{Route: "checkout"}, writeq.KeepAnswersParams{Route: "checkout"}
	for range 64 {
		who, _ := newShopper()
		claim.Callers, claim.Keys = append(claim.Callers, who.digest[:]), append(claim.Keys, id.New().String())
		claim.Fingerprints = append(claim.Fingerprints, who.digest[:])
		keep.Statuses, keep.Responses = append(keep.Statuses, http.StatusCreated), append(keep.Responses, make([]byte, 1150))
	}
	keep.Callers, keep.Keys, keep.Fingerprints = claim.Callers, claim.Keys, claim.Fingerprints
	q := writeq.New(admin)
	if known, err := q.ClaimKeys(t.Context(), claim); err != nil || len(known) != 0 {
		t.Fatal(known, err)
	}
	if err := q.KeepAnswers(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	beside := 0
	err := admin.QueryRow(t.Context(), "SELECT pg_stat_get_xact_tuples_hot_updated('idempotency_keys'::regclass)").Scan(&beside)
	if err != nil || beside != len(keep.Keys) {
		t.Errorf("%d of %d answers are beside their keys, %v", beside, len(keep.Keys), err)
	}
	s.exec(t, admin, "ROLLBACK")
}

// TestReplayWaitsForTheStandby stops both standbys: an order that none of them
// can have must not be acknowledged, and not by a replay either.
func TestReplayWaitsForTheStandby(t *testing.T) {
	s := newShop(t)
	c, cart := s.newCart(t, ItemInput{s.variant(t, 450, 1), 1})
	who, err := ParseShopper(c.bearer)
	if err != nil {
		t.Fatal(err)
	}
	key := NewKey(who, "checkout", "k", "POST", checkoutPath(cart), nil)
	checkout := func(patience time.Duration) (Answer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return s.store.Checkout(ctx, key, CartRef{ID: cart.ID, Shopper: who}, form(), answerWith[Order](http.StatusCreated))
	}
	if _, err := checkout(dbtest.Limit); err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Replicas() {
		t.Cleanup(func() { dbtest.Do(t, n.Thaw) })
		dbtest.Do(t, n.Freeze)
	}
	if a, err := checkout(300 * time.Millisecond); !errors.Is(err, fresh.ErrCommitUnknown) {
		t.Fatalf("answered without a standby: %+v, %v", a, err)
	}
	for _, n := range s.Replicas() {
		dbtest.Do(t, n.Thaw)
	}
	if a, err := checkout(dbtest.Limit); err != nil || !a.Replayed {
		t.Errorf("after the standbys are back: %+v, %v", a, err)
	}
}
