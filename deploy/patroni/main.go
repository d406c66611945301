// Command patroni is a failover drill on a real HA engine: three nodes of Patroni over
// three of etcd, two instances of the shop, and clients that place orders. The leader
// is killed; Patroni finds out and promotes its synchronous standby; the shop follows.
// What clients saw is measured, and everything that they were told is checked.
//
//	go run ./deploy/patroni
//
// It needs Debian's packages patroni and etcd-server (or others with these programs)
// and PostgreSQL's server programs. Nothing else on the machine is touched: every
// server listens on loopback, on a port that was free, with its data in a temporary
// folder. It takes a minute or two.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/internal/drill"
	"example.com/leeway/internal/guardian"
)

type options struct {
	Fault        string        `help:"What is lost: ${enum}." enum:"leader,agent,standby,etcd" default:"leader"`
	BrowseBudget time.Duration `help:"SHOP_BROWSE_BUDGET of the shop. While there is no leader nothing is proven to be fresh, and once the last proof is older than the budget product pages are refused." default:"${budget}"`
	Keep         bool          `help:"Keep the folder of the run: configuration, data and logs."`
}

// defaultBudget is longer than Patroni's ttl and an election: see README.md.
const defaultBudget = 40 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	var o options
	kong.Parse(&o, kong.Name("patroni"), kong.Vars{"budget": defaultBudget.String()},
		kong.Description("Kill the leader of a Patroni cluster under load, and check that no order is lost."))
	err := missing(ctx)
	if err == nil {
		err = play(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "patroni:", err)
		os.Exit(1)
	}
}

// limit bounds each wait for Patroni. It is a safety net: Patroni needs its ttl to
// elect, and seconds to rewind.
const limit = 2 * time.Minute

var errBroken = errors.New("a promise did not hold")

// play is the whole drill. It leaves nothing behind but, when it fails, its folder.
func play(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "leeway-patroni-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' user has to get through
		return err
	}
	guard, err := guardian.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer guard.Dismiss()
	defer func() {
		switch {
		case err != nil:
			err = fmt.Errorf("%w; configuration, logs and history are in %s", err, dir)
		case o.Keep:
			fmt.Fprintln(out, "kept in", dir)
		default:
			err = os.RemoveAll(dir)
		}
	}()
	c, err := newCluster(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	report, err := c.drill(ctx, o, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s lost: %s", o.Fault, report)
	if !report.OK() {
		return errBroken
	}
	return nil
}

// drill opens a shop on the cluster and breaks it.
func (c *cluster) drill(ctx context.Context, o options, out io.Writer) (drill.Report, error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "%5.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	say("starting %d nodes of Patroni and %d of etcd", size, size)
	if err := c.up(ctx); err != nil {
		return drill.Report{}, err
	}
	if err := c.makeShop(ctx); err != nil {
		return drill.Report{}, err
	}
	d, err := drill.Open(ctx, drill.Config{
		Nodes: c.drillNodes(), Dir: c.dir, Env: []string{"SHOP_BROWSE_BUDGET=" + o.BrowseBudget.String()},
	})
	if err != nil {
		return drill.Report{}, err
	}
	defer d.Close()
	say("two instances of the shop serve; clients come")
	if err := d.Begin(ctx); err != nil {
		return drill.Report{}, err
	}
	if err := faults[o.Fault](run{d, c, say}, ctx); err != nil {
		return drill.Report{}, err
	}
	return d.End(ctx)
}
