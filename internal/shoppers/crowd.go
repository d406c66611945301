// Package shoppers is a crowd that shops at running instances of the real program,
// and writes down everything that it asked and was told, for internal/checker to
// judge. It carries each session's tokens from one instance to the next, asks about
// doubts until they are settled, and counts a product's version up past the shop.
//
// It knows nothing of faults: those are made by internal/chaos and internal/drill.
package shoppers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/checker"
)

// tokenKey seals the tokens of every instance, and opens them for the record.
var tokenKey = []byte("the key of a test run, 32 bytes at least")

// A Crowd is the clients of one run, the instances that they go to, and the record
// of what they were told. Its fields are set before Start, but for ProbeAt.
type Crowd struct {
	Record *Recorder
	Stamps *Stamper
	Apps   []*App

	Initial   map[string]int // stock by variant, before anybody came
	Hot, Cold []string       // variants: in short supply, and in plenty
	Probe     string         // slug of the product whose version Stamps counts up
	ProbeAt   atomic.Pointer[App]

	// ClientPatience is when a client hangs up, ShopperPatience how long a checkout
	// is asked for again.
	ClientPatience, ShopperPatience time.Duration
	// Think is up to how long a client rests between two visits; 0: not at all.
	Think time.Duration

	seed uint64
	keys *fresh.Keyring
	http *http.Client

	wanted, sessions, keysMade atomic.Int64

	load sync.WaitGroup
	end  context.CancelFunc
}

// Clients is how many shop from Start to Stop.
const Clients = 8

const probeReaders = 2

// New is a crowd that stays away until Start. The seed fixes what its clients want.
// requestTimeout is the deadline that the instances are configured with.
func New(seed uint64, requestTimeout time.Duration) *Crowd {
	keys, err := fresh.NewKeyring(tokenKey)
	if err != nil {
		panic(err) // a constant of ours
	}
	c := &Crowd{
		Record: newRecorder(), seed: seed, keys: keys,
		http:           &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		ClientPatience: requestTimeout + 2*time.Second, ShopperPatience: 8 * time.Second,
	}
	c.Stamps = &Stamper{crowd: c, value: 1}
	c.Record.stamp(checker.Stamp{Value: 1, Sent: 1, Acked: 2}) // as the catalog is loaded
	return c
}

// Start sets the clients going, and the stamper, who asks Stamps.Follow whom to
// write to.
func (c *Crowd) Start(ctx context.Context) {
	ctx, c.end = context.WithCancel(ctx)
	c.Go(func() { c.Stamps.run(ctx) })
	for id := range Clients {
		c.Go(func() { c.Shop(ctx, id+1) })
	}
	for id := range probeReaders {
		c.Go(func() { c.readProbe(ctx, 100+id) })
	}
}

// Go runs another client, whom Stop waits for.
func (c *Crowd) Go(client func()) { c.load.Go(client) }

// Stop lets the clients finish what they have begun. Before Start, or again, it does
// nothing.
func (c *Crowd) Stop() {
	if c.end != nil {
		c.end()
		c.load.Wait()
		c.end = nil
	}
}

// Close ends the instances.
func (c *Crowd) Close() {
	for _, a := range c.Apps {
		a.Stop()
	}
	c.http.CloseIdleConnections()
}

// ModuleRoot is where the sources are.
func ModuleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/leeway").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w; run this inside the repository", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build compiles the shop as its image has it, without cgo. flags are those of "go
// build".
func Build(ctx context.Context, root, binary string, flags ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", binary}, flags...), "./cmd/shop")...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Poll asks every few milliseconds until it is so, or returns ctx's error.
func Poll(ctx context.Context, so func() bool) error {
	for !so() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}
