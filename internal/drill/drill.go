// Package drill takes the primary of a shop away while clients shop there, measures
// what they see of it, and has internal/checker judge everything that they were told.
//
// Who takes the primary away, and what makes another one of a standby, is the
// caller's: the commands of the runbook (internal/failover), or an HA engine
// (deploy/patroni). The shop runs with its defaults, so that what is measured is what
// a shop would see.
package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/checker"
	"example.com/leeway/internal/shoppers"
	"example.com/leeway/migrations"
)

// A Node is one server. Its roles, and the database that they connect to, are those
// of package migrations.
type Node struct {
	Name string
	// DSN is how a role connects; "postgres" is a superuser.
	DSN func(role string) string
}

// Config says what a drill runs on.
type Config struct {
	Nodes []Node
	Dir   string   // for the program, its logs and, should the drill fail, its history
	Env   []string // of the shop, beside its nodes: "SHOP_...=..."
	// Orders are placed before the primary is taken away, and again after another one
	// has taken over. 0: 100.
	Orders int
}

// A Drill is a shop of two instances that is open. Its methods are for one goroutine.
type Drill struct {
	*shoppers.Crowd
	config           Config
	killed, promoted time.Duration // on the clock of the record
}

// requestTimeout is the shop's default.
const requestTimeout = 10 * time.Second

// think keeps the clients from using up two cores, which servers, shops and clients
// share: what is measured would then be the machine.
const think = 40 * time.Millisecond

// Open migrates and fills the shop's database, whose roles are there already, and
// starts two instances of the shop. It returns when both find nothing wrong with the
// cluster.
func Open(ctx context.Context, c Config) (*Drill, error) {
	c.Orders = cmp.Or(c.Orders, 100)
	d := &Drill{Crowd: shoppers.New(1, requestTimeout), config: c}
	d.Think, d.ShopperPatience = think, time.Minute // who has a doubt asks until it is settled
	if err := d.open(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Drill) open(ctx context.Context) error {
	root, err := shoppers.ModuleRoot(ctx)
	if err != nil {
		return err
	}
	if err := shoppers.Build(ctx, root, d.Binary()); err != nil {
		return err
	}
	primary, err := d.Primary(ctx)
	if err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, primary.DSN("shop_owner")); err != nil {
		return err
	}
	err = d.Fill(ctx, fresh.NodeConfig{Name: primary.Name, WriteDSN: primary.DSN("shop_rw"), ReadDSN: primary.DSN("shop_ro")})
	if err != nil {
		return err
	}
	return d.startApps(ctx)
}

// Binary is the shop, once Open has returned.
func (d *Drill) Binary() string { return filepath.Join(d.config.Dir, "shop") }

func (d *Drill) startApps(ctx context.Context) error {
	env, err := d.env()
	if err != nil {
		return err
	}
	for _, name := range []string{"app-a", "app-b"} {
		a := d.NewApp(name, d.Binary(), d.config.Dir, env...)
		if err := a.Start(ctx); err != nil {
			return err
		}
	}
	return d.AwaitGood(ctx)
}

// AwaitGood waits, for at most a minute, until every instance finds nothing wrong with
// the cluster.
func (d *Drill) AwaitGood(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, a := range d.Apps {
		if err := d.Crowd.AwaitGood(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// env names every node, as any shop on these servers would.
func (d *Drill) env() ([]string, error) {
	var nodes []string
	var reader *url.Userinfo
	for _, n := range d.config.Nodes {
		nodes = append(nodes, n.Name+"="+n.DSN("shop_rw"))
		u, err := url.Parse(n.DSN("shop_ro"))
		if err != nil {
			return nil, errors.New("the DSN of shop_ro is no URL") // which may hold a password
		}
		reader = u.User
	}
	password, _ := reader.Password()
	return append([]string{
		"SHOP_NODES=" + strings.Join(nodes, ","),
		"SHOP_READ_USER=" + reader.Username(), "SHOP_READ_PASSWORD=" + password,
	}, d.config.Env...), nil
}

// Begin lets the clients in, and returns when they have placed orders enough.
func (d *Drill) Begin(ctx context.Context) error {
	d.Stamps.Follow(d.owner())
	d.Start(ctx)
	return d.AwaitOrders(ctx, d.Record.Mark(), 30*time.Second)
}

// owner leads to whichever node takes writes.
func (d *Drill) owner() string {
	var u *url.URL
	var hosts []string
	for _, n := range d.config.Nodes {
		one, err := url.Parse(n.DSN("shop_owner"))
		if err != nil {
			panic(err) // env has read them
		}
		u, hosts = one, append(hosts, one.Host)
	}
	u.Host = strings.Join(hosts, ",")
	query := u.Query()
	query.Set("target_session_attrs", "read-write")
	u.RawQuery = query.Encode()
	return u.String()
}

// AwaitOrders waits until enough orders were placed since m.
func (d *Drill) AwaitOrders(ctx context.Context, m shoppers.Mark, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	placed := 0
	err := shoppers.Poll(ctx, func() bool {
		placed = shoppers.Count(d.Record.Since(m), shoppers.Acknowledged)
		return placed >= d.config.Orders
	})
	if err != nil {
		return fmt.Errorf("only %d orders within %v: %w", placed, limit, err)
	}
	return nil
}

// Killed notes that the primary is being taken away: what is unavailable from now on
// counts.
func (d *Drill) Killed() { d.killed = d.Record.Now() }

// Promoted notes that a standby is being made the primary. Without it, none was.
func (d *Drill) Promoted() { d.promoted = d.Record.Now() }

// End sends the clients home and reads what every node holds; all of them are there
// again, and stream. The report says what came of it; an error means that nothing can
// be said.
func (d *Drill) End(ctx context.Context) (Report, error) {
	end := d.Record.Now()
	d.Stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	h := d.Asked(requestTimeout)
	primary, err := d.Primary(ctx)
	if err == nil {
		h.Nodes, err = d.contents(ctx, primary)
	}
	if err != nil {
		return Report{}, errors.Join(err, d.save(h))
	}
	r := measure(h.Ops, d.killed, d.promoted, end)
	r.Primary, r.Check = primary.Name, checker.Check(h)
	r.countOrders(h.Ops, h.Nodes[0])
	for _, a := range d.Apps {
		r.appsEnded = r.appsEnded || !a.Alive()
	}
	if !r.OK() {
		return r, d.save(h)
	}
	return r, nil
}

// Close ends the clients and the instances.
func (d *Drill) Close() {
	d.Stop()
	d.Crowd.Close()
}
