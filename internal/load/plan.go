package load

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Scenarios are what can be asked for.
var Scenarios = []string{"browse", "search", "checkout", "hot", "mixed"}

// Plan is one run.
type Plan struct {
	URL      string // of the shop
	Scenario string // one of Scenarios

	// Rate is how many journeys begin each second, an open loop; 0 is a closed one, in
	// which Clients make one journey after the other.
	Rate    float64
	Poisson bool // arrivals at random around Rate, as people come, instead of evenly
	// Clients is how many journeys are under way at once; of an open loop, at most. Then
	// the next one waits, and its latency counts that wait.
	Clients  int
	Duration time.Duration // measured, after WarmUp
	WarmUp   time.Duration // sent, and in no figure
	// Think is the pause of a shopper between a write and the next request.
	Think time.Duration
	// Zipf is how much more popular the popular are: product n of the catalog is wanted
	// in proportion to 1/n^Zipf. Above 1.
	Zipf float64
	Seed uint64 // the same seed wants the same
	// Variant is the id of what everybody wants in the scenario hot; "" is the most
	// popular one.
	Variant string

	// Stock is what there shall be of each variant that may be bought, at least, before
	// the run; 0 leaves it. It needs Admin.
	Stock int

	// Admin is the back office, for the ledger of what was sold; Key its X-API-Key, with
	// the scope stock. Without them oversell cannot be checked.
	Admin, Key string
}

// Check returns what is wrong with the plan, all of it.
func (p Plan) Check() error {
	var errs []error
	unless := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for name, address := range map[string]string{"URL": p.URL, "admin URL": p.Admin} {
		u, err := url.Parse(address)
		ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
		unless(ok || name != "URL" && address == "", "%s: %q is not http://host:port", name, address)
	}
	unless((p.Admin == "") == (p.Key == ""), "the admin URL and the key go together")
	unless(p.Stock >= 0 && (p.Stock == 0 || p.Admin != ""), "stock: only with the admin URL and key, and not negative")
	unless(slices.Contains(Scenarios, p.Scenario), "scenario: %q is none of %v", p.Scenario, Scenarios)
	unless(p.Rate >= 0, "rate: %g is negative", p.Rate)
	unless(!p.Poisson || p.Rate > 0, "poisson arrivals need a rate: a closed loop has none")
	unless(p.Clients > 0, "clients: at least one")
	unless(p.Duration >= time.Second, "duration: at least 1s, since each second is a line of the plot")
	unless(p.WarmUp >= 0 && p.Think >= 0, "warm-up and think time are not negative")
	unless(p.Zipf > 1, "zipf: more than 1")
	return errors.Join(errs...)
}

func (p Plan) open() bool { return p.Rate > 0 }
