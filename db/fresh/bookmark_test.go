package fresh_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/leeway/db/fresh"
)

// through runs fn inside a request that went through the middleware.
func (w *web) through(t *testing.T, fn func(ctx context.Context, c *fresh.Carrier)) http.Header {
	t.Helper()
	rec := httptest.NewRecorder()
	w.router.Middleware(w.keys)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fn(r.Context(), fresh.CarrierFrom(r.Context()))
	})).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec.Result().Header
}

func (w *web) count(ctx context.Context, t *testing.T, p fresh.Policy) (n int) {
	t.Helper()
	if err := w.router.Reader(p).QueryRow(ctx, readCounter).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

// TestABookmarkIsAFloor: a read that resumes a bookmark sees what the bookmarked read
// saw, while a standby that lacks it is good enough for all others.
func TestABookmarkIsAFloor(t *testing.T) {
	w := setupWeb(t)
	late, good := w.Replicas()[0], w.Replicas()[1]
	w.Pause(t, late)
	w.add(t)
	w.CatchUpNode(t, good)
	policy := fresh.Bounded(time.Hour).Else(fresh.Fail).Bookmarked()

	var mark string
	header := w.through(t, func(ctx context.Context, c *fresh.Carrier) {
		for range 1000 { // until the replica that has it answers
			c = fresh.CarrierFrom(ctx)
			if w.count(ctx, t, policy) == 1 {
				break
			}
		}
		mark = c.Bookmark()
		if _, raised := c.Token(); raised {
			t.Error("a bookmarked read has raised the session's token")
		}
	})
	if mark == "" || header.Get(fresh.TokenHeader) != "" {
		t.Fatalf("bookmark %q beside the header %v", mark, header)
	}
	lateAnswers := 0
	for range 50 {
		w.through(t, func(ctx context.Context, c *fresh.Carrier) {
			if w.count(ctx, t, policy) == 0 {
				lateAnswers++
			}
		})
		w.through(t, func(ctx context.Context, c *fresh.Carrier) {
			if err := c.Resume(mark); err != nil {
				t.Error(err)
			}
			if n := w.count(ctx, t, policy); n != 1 {
				t.Errorf("the counter is %d, older than the bookmark", n)
			}
		})
	}
	if lateAnswers == 0 {
		t.Error("the late replica never answers, so the test shows nothing")
	}
}

// TestASnapshotIsBookmarked, and a read that nobody asked to be is not.
func TestASnapshotIsBookmarked(t *testing.T) {
	w := setupWeb(t)
	read := func(p fresh.Policy) (mark string) {
		w.through(t, func(ctx context.Context, c *fresh.Carrier) {
			err := w.router.Snapshot(ctx, p, func(ctx context.Context, tx fresh.ReadTx) error {
				var n int
				return tx.QueryRow(ctx, readCounter).Scan(&n)
			})
			if err != nil {
				t.Error(err)
			}
			mark = c.Bookmark()
		})
		return mark
	}
	for name, p := range map[string]fresh.Policy{
		"bounded": fresh.Bounded(time.Hour).Bookmarked(), "session": fresh.Session(), "strong": fresh.Strong(),
	} {
		if pos, err := w.keys.Open(read(p)); err != nil || pos.IsZero() {
			t.Errorf("%s: a bookmark at %v, %v", name, pos, err)
		}
	}
	if mark := read(fresh.Bounded(time.Hour)); mark != "" {
		t.Errorf("a plain bounded read has the bookmark %q", mark)
	}
}

func TestOnlyOurBookmarksResume(t *testing.T) {
	w := setupWeb(t)
	forger, err := fresh.NewKeyring(make([]byte, fresh.MinTokenKey))
	if err != nil {
		t.Fatal(err)
	}
	far := fresh.Position{Timeline: 1, LSN: 1 << 60}
	w.through(t, func(_ context.Context, c *fresh.Carrier) {
		for name, mark := range map[string]string{"none": "", "text": "abc", "forged": forger.Seal(far)} {
			if c.Resume(mark) == nil {
				t.Errorf("%s: resumed", name)
			}
		}
		if pos, _ := c.Token(); !pos.IsZero() {
			t.Errorf("the token is %v after refusals", pos)
		}
		if err := c.Resume(w.keys.Seal(fresh.Position{Timeline: 1, LSN: 7})); err != nil {
			t.Error(err)
		}
		if pos, raised := c.Token(); pos != (fresh.Position{Timeline: 1, LSN: 7}) || raised {
			t.Errorf("token %v, raised %v", pos, raised)
		}
	})
	// Outside of a request there is nobody to open one, and none is made.
	for name, c := range map[string]*fresh.Carrier{"no carrier": nil, "no keys": fresh.NewCarrier(far)} {
		if c.Bookmark() != "" || c.Resume("") != nil || c.Resume(w.keys.Seal(far)) == nil {
			t.Errorf("%s: bookmarks work without keys", name)
		}
	}
}
