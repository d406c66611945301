package orders

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestTotal compares with arithmetic that has no limit.
func TestTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prices := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/2), 0, 4).Draw(t, "prices")
		quantities := rapid.SliceOfN(rapid.IntRange(1, MaxQuantity), len(prices), len(prices)).Draw(t, "quantities")
		want := new(big.Int)
		var lines []line
		var err error
		for i, price := range prices {
			one := new(big.Int).Mul(big.NewInt(price), big.NewInt(int64(quantities[i])))
			want.Add(want, one)
			l, lineErr := newLine(Item{Quantity: quantities[i]}, "EUR", price)
			if lineErr != nil {
				err = lineErr
				continue
			}
			if l.LineTotal.Amount != one.Int64() {
				t.Fatalf("%d x %d = %d", quantities[i], price, l.LineTotal.Amount)
			}
			lines = append(lines, l)
		}
		sum, sumErr := total(lines, "EUR")
		if err == nil {
			err = sumErr
		}
		switch {
		case want.IsInt64() && (err != nil || sum != euros(want.Int64())):
			t.Fatalf("got %v and %v, want %v", sum, err, want)
		case !want.IsInt64() && !errors.Is(err, ErrTotalTooLarge):
			t.Fatalf("got %v and %v for %v, want ErrTotalTooLarge", sum, err, want)
		}
	})
}

func TestTimesAtTheEdge(t *testing.T) {
	for _, tt := range []struct {
		price    int64
		quantity int
		want     int64
		err      error
	}{
		{math.MaxInt64, 1, math.MaxInt64, nil},
		{math.MaxInt64/999 + 1, 999, 0, ErrTotalTooLarge},
		{math.MaxInt64 / 999, 999, math.MaxInt64 / 999 * 999, nil},
		{math.MaxInt64, math.MaxInt, 0, ErrTotalTooLarge}, // more than 64 bits
		{0, 999, 0, nil},
	} {
		got, err := times(tt.price, tt.quantity)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("times(%d, %d) = %d, %v; want %d, %v", tt.price, tt.quantity, got, err, tt.want, tt.err)
		}
	}
	if _, err := times(-1, 1); err == nil {
		t.Error("a negative price is accepted")
	}
}

func TestMerge(t *testing.T) {
	a, b := id.New(), id.New()
	for name, tt := range map[string]struct {
		in, want []ItemInput
		err      error
	}{
		"nothing":          {},
		"order is kept":    {in: []ItemInput{{b, 1}, {a, 2}}, want: []ItemInput{{b, 1}, {a, 2}}},
		"twice is the sum": {in: []ItemInput{{a, 2}, {b, 1}, {a, 997}}, want: []ItemInput{{a, 999}, {b, 1}}},
		"sum too large":    {in: []ItemInput{{a, 2}, {b, 1}, {a, 998}}, err: ErrQuantity},
		"sum overflows":    {in: []ItemInput{{a, 1}, {a, math.MaxInt}}, err: ErrQuantity},
		"none of it":       {in: []ItemInput{{a, 0}}, err: ErrQuantity},
		"below zero":       {in: []ItemInput{{a, 5}, {a, -1}}, err: ErrQuantity},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := merge(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v; (-want +got):\n%s", err, tt.err, diff)
			}
		})
	}
}

func TestLineShowsWhatTheCatalogSays(t *testing.T) {
	variant := id.New()
	for name, tt := range map[string]struct {
		line  line
		want  catalog.Availability
		codes []string
	}{
		"fine":       {line{stock: 50, sellable: true, priceWhenAdded: 5}, catalog.InStock, nil},
		"just":       {line{stock: 3, sellable: true, priceWhenAdded: 5}, catalog.Low, nil},
		"short":      {line{stock: 2, sellable: true, priceWhenAdded: 5}, catalog.Low, []string{"insufficient_stock"}},
		"off sale":   {line{stock: 50, sellable: false, priceWhenAdded: 5}, catalog.Out, []string{"variant_unavailable"}},
		"new price":  {line{stock: 50, sellable: true, priceWhenAdded: 4}, catalog.InStock, []string{"price_changed"}},
		"everything": {line{stock: 0, sellable: true, priceWhenAdded: 6}, catalog.Out, []string{"insufficient_stock", "price_changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.line.Item = Item{VariantID: variant, Quantity: 3, UnitPrice: euros(5), LineTotal: euros(15)}
			cart, err := Cart{}.fill([]line{tt.line}, "EUR")
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, w := range cart.Warnings {
				if w.VariantID != variant {
					t.Errorf("warning about another variant: %v", w)
				}
				codes = append(codes, w.Code)
			}
			if diff := cmp.Diff(tt.codes, codes); diff != "" || cart.Items[0].Availability != tt.want {
				t.Errorf("availability %s, want %s; warnings (-want +got):\n%s", cart.Items[0].Availability, tt.want, diff)
			}
			if changed := cart.Items[0].PriceChanged; changed != strings.Contains(fmt.Sprint(codes), "price_changed") {
				t.Errorf("price_changed is %v beside %v", changed, codes)
			}
		})
	}
}

func TestTokenAndDigest(t *testing.T) {
	who, token := newShopper()
	secret, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(secret) != 32 || len(token) != 43 {
		t.Fatalf("a token of %d bytes in %d characters, %v", len(secret), len(token), err)
	}
	if who.digest != sha256.Sum256(secret) {
		t.Error("the digest is not SHA-256 of the token's bytes")
	}
	if other, _ := newShopper(); other == who {
		t.Error("two shoppers are one")
	}
	if parsed, err := ParseShopper(token); err != nil || parsed != who {
		t.Errorf("the token's own shopper is not found: %v", err)
	}
	// The last of 43 characters carries 4 bits of the secret and 2 that are 0.
	last := strings.IndexByte(alphabet, token[42])
	for name, bad := range map[string]string{
		"empty": "", "short": token[:42], "long": token + "A", "padded": token + "=",
		"standard alphabet": token[:42] + "+", "blank": " " + token[:42], "newline": token[:42] + "\n",
		"second spelling": token[:42] + string(alphabet[last+1]),
	} {
		if got, err := ParseShopper(bad); !errors.Is(err, ErrUnauthorized) || got != (Shopper{}) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), token[:8]) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestCursorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p place
		p.createdAt = time.UnixMicro(rapid.Int64Range(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(),
			newest.createdAt.UnixMicro()).Draw(t, "micros")).UTC()
		p.bookmark = rapid.StringN(0, 50, 255).Draw(t, "bookmark")
		copy(p.id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		who, _ := newShopper()
		status := rapid.SampledFrom(append(statuses, "")).Draw(t, "status")
		got, err := parseCursor(p.cursor(who, status), who, status)
		if err != nil || got != p {
			t.Fatalf("%v became %v, %v", p, got, err)
		}
	})
}

func TestForeignCursor(t *testing.T) {
	who, _ := newShopper()
	other, _ := newShopper()
	at := place{createdAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), id: id.New()}
	good := at.cursor(who, "paid")
	late := place{createdAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, bad := range map[string]string{
		"another shopper's": at.cursor(other, "paid"),
		"another filter's":  at.cursor(who, "shipped"),
		"no filter's":       at.cursor(who, ""),
		"another version":   "AQ" + good[2:],
		"too short":         good[:40],
		"too long":          good + "AAAA",
		"far too long":      good + strings.Repeat("A", 4000),
		"newline inside":    good[:8] + "\n" + good[8:],
		"no base64":         strings.Repeat("!", len(good)),
		"beyond timestamps": late.cursor(who, "paid"),
		"before all orders": place{}.cursor(who, "paid"),
	} {
		if _, err := parseCursor(bad, who, "paid"); !errors.Is(err, web.InvalidCursor) {
			t.Errorf("%s: %v, want InvalidCursor", name, err)
		}
	}
	if first, err := parseCursor("", who, "paid"); err != nil || first != newest {
		t.Errorf("no cursor is %v, %v; want the first page", first, err)
	}
}

// A token has one spelling, and what is kept of it is not the token.
func FuzzParseShopper(f *testing.F) {
	_, token := newShopper()
	for _, seed := range []string{
		"", token, token[:42], token + "A", token + "=", strings.ToLower(token), strings.Repeat("A", 43), strings.Repeat("A", 42) + "B",
		strings.Repeat("-", 43), strings.Repeat("+", 43), "\n" + token[1:], strings.Repeat("é", 22), "Bearer " + token,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		who, err := ParseShopper(token)
		if err != nil {
			if err != ErrUnauthorized || who != (Shopper{}) { // as it is: an error that wraps could quote the token
				t.Fatalf("%q: %v, %v", token, who, err)
			}
			return
		}
		secret, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(secret) != tokenBytes || base64.RawURLEncoding.EncodeToString(secret) != token || who.digest != sha256.Sum256(secret) {
			t.Errorf("%q is taken: %v", token, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	who, _ := newShopper()
	other, _ := newShopper()
	for _, seed := range []string{
		newest.cursor(who, ""), newest.cursor(who, "paid"), newest.cursor(other, ""), place{}.cursor(who, ""), "", "AAAA", strings.Repeat("A", 5000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseCursor(s, who, "")
		if err == nil && s != "" && p.cursor(who, "") != s {
			t.Errorf("%q has a second spelling", s)
		}
	})
}

// TestFailuresSurviveStorage: what a key remembers of a failure is the failure.
func TestFailuresSurviveStorage(t *testing.T) {
	for _, want := range []error{
		&catalog.ShortageError{Lines: []catalog.Shortage{{VariantID: id.New(), Requested: 3, Available: 2}}},
		&PriceChangedError{Total: euros(0)},
		ErrCartClosed, ErrOrderExpired, ErrNotPayable, ErrPaymentDeclined,
	} {
		kept, final := encodeFailure(fmt.Errorf("wrapped: %w", want))
		status := 409
		if errors.Is(want, ErrPaymentDeclined) {
			status = 402
		}
		if !final || kept.Status != status || kept.Status < failed {
			t.Fatalf("%v is not kept as %d: %+v", want, status, kept)
		}
		// A sentinel comes back as itself, a typed error as its equal.
		if got := decodeFailure(kept.Body); !errors.Is(got, want) && cmp.Diff(want, got) != "" {
			t.Errorf("%v came back as %v", want, got)
		}
	}
	for _, passing := range []error{nil, ErrKeyInProgress, ErrBusy, ErrVersionMismatch, ErrCartEmpty, ErrNotFound, ErrNotCancellable, errors.New("any")} {
		if _, final := encodeFailure(passing); final {
			t.Errorf("%v is kept, and would be replayed for ever", passing)
		}
	}
	for _, broken := range []string{"", "{}", `{"code":"price_changed"}`, `{"code":"new"}`} {
		if err := decodeFailure([]byte(broken)); err == nil || errors.Is(err, ErrPriceChanged) {
			t.Errorf("%q is read as %v", broken, err)
		}
	}
}

func TestFingerprintSeparatesItsParts(t *testing.T) {
	who, _ := newShopper()
	seen := map[[sha256.Size]byte]string{}
	for _, parts := range [][3]string{
		{"POST", "/a", "b"}, {"POST", "/ab", ""}, {"PUT", "/a", "b"}, {"POST", "/a", "b "}, {"POST", "/a/", "b"},
	} {
		k := NewKey(who, "items", "k", parts[0], parts[1], []byte(parts[2]))
		if before, ok := seen[k.Fingerprint]; ok {
			t.Errorf("%v and %v have one fingerprint", before, parts)
		}
		seen[k.Fingerprint] = fmt.Sprint(parts)
	}
}
