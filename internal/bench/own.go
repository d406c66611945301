package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/leeway/internal/load"
)

// A shopper of the part "own" changes their cart, thinks, looks at it, and looks around
// before the next change: eight of them are a moderate load.
const (
	ownShoppers = 8
	think       = 5 * time.Millisecond
	lookAround  = 20 * time.Millisecond
)

// own asks who answers those who read what they have just written.
func (w *world) own(ctx context.Context) ([]Figure, error) {
	database, _, err := w.fill(ctx, w.Products)
	if err != nil {
		return nil, err
	}
	app, s, err := w.open(ctx, "own", database, 2)
	if err != nil {
		return nil, err
	}
	defer app.Stop()
	kinds, _, err := w.variants(ctx, database, ownShoppers, 1)
	if err != nil {
		return nil, err
	}
	var shares []float64
	total := map[string]int{}
	for round := range w.Rounds {
		sources, err := w.changeCarts(ctx, s, kinds)
		if err != nil {
			return nil, err
		}
		all, replica := 0, 0
		for source, n := range sources {
			all, total[source] = all+n, total[source]+n
			if strings.HasPrefix(source, "replica") {
				replica += n
			}
		}
		if all == 0 {
			return nil, fmt.Errorf("nobody read a cart")
		}
		shares = append(shares, 100*float64(replica)/float64(all))
		w.say("own reads, round %d: %.1f %% of %d by replicas", round+1, shares[round], all)
	}
	f := figure("own reads that a replica answered", shares)
	f.Unit, f.AtLeast, f.Detail = "%", new(90.0), share(total)
	return []Figure{f}, nil
}

func share(total map[string]int) string {
	sum := 0
	for _, n := range total {
		sum += n
	}
	var parts []string
	for _, source := range slices.SortedFunc(maps.Keys(total), func(a, b string) int { return total[b] - total[a] }) {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", source, 100*float64(total[source])/float64(sum)))
	}
	return strings.Join(parts, ", ")
}

func (w *world) changeCarts(ctx context.Context, s *shop, kinds [][]string) (map[string]int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	total, errs := map[string]int{}, make(chan error, len(kinds))
	for _, kind := range kinds {
		go func() {
			errs <- w.oneShopper(ctx, s, kind[0], func(source string) {
				mu.Lock()
				defer mu.Unlock()
				total[source]++
			})
		}()
	}
	var err error
	for range kinds {
		if e := <-errs; e != nil && err == nil {
			err = e
			cancel()
		}
	}
	return total, err
}

func (w *world) oneShopper(ctx context.Context, s *shop, variant string, read func(source string)) error {
	conn, err := load.DialLean(ctx, s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	var cart struct {
		ID           string
		ShopperToken string `json:"shopper_token"`
	}
	item := fmt.Sprintf(`{"variant_id":%q,"quantity":1}`, variant)
	made, err := conn.Do(load.Request("POST", "/v1/carts", `{"items":[`+item+`]}`))
	if err != nil || made.Status != 201 {
		return fmt.Errorf("a cart was not made: %d %s, %w", made.Status, made.Body, err)
	}
	if err := json.Unmarshal(made.Body, &cart); err != nil {
		return err
	}
	path, bearer := "/v1/carts/"+cart.ID, "Authorization: Bearer "+cart.ShopperToken
	for end, n := time.Now().Add(w.span()), 1; time.Now().Before(end); n++ {
		quantity := fmt.Sprintf(`"quantity":%d`, 1+n%99)
		wrote, err := conn.Do(load.Request("PUT", path+"/items/"+variant, "{"+quantity+"}", bearer))
		if err != nil || wrote.Status != 200 {
			return fmt.Errorf("the cart was not changed: %d %s, %w", wrote.Status, wrote.Body, err)
		}
		token := string(wrote.Token)
		if err := pause(ctx, think); err != nil {
			return err
		}
		seen, err := conn.Do(load.Request("GET", path, "", bearer, "Consistency-Token: "+token))
		if err != nil || seen.Status != 200 || !strings.Contains(string(seen.Body), quantity) {
			return fmt.Errorf("a shopper does not see their own cart: %d %s, %w", seen.Status, seen.Body, err)
		}
		read(load.Source(seen.Source))
		if err := pause(ctx, lookAround); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
