// Command failover is the drill of docs/failover.md: a local cluster of three servers, two
// instances of the shop, clients that place orders; the primary is killed, and then the
// commands of the runbook are typed, one after the other, as somebody on call would. It
// prints them with what they say, and what the clients saw meanwhile.
//
//	go run ./internal/failover            (or: make failover-drill)
//
// It ends with 1 if an order was lost, if any other promise did not hold, or if reads or
// writes were unavailable for longer than they should have been.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/leeway/internal/drill"
	"example.com/leeway/internal/guardian"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/migrations"
)

type options struct {
	MaxReads  time.Duration `help:"Fail if reads without a session were unavailable for longer." default:"0s"`
	MaxWrites time.Duration `help:"Fail if writes were unavailable for longer after the promotion." default:"3s"`
	Orders    int           `help:"Orders that are placed before the primary is lost, and again afterwards." default:"100"`
	Keep      bool          `help:"Keep the folder of the run: logs and the program."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	var o options
	kong.Parse(&o, kong.Name("failover"), kong.Description("Kill the primary under load, go through the runbook, and measure what clients see."))
	report, err := play(ctx, o, os.Stdout)
	if err == nil {
		err = o.judge(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

// judge compares what was measured with what it should be.
func (o options) judge(r drill.Report) error {
	switch {
	case !r.OK():
		return errors.New("a promise did not hold")
	case r.Unavailable() > o.MaxReads:
		return fmt.Errorf("reads were unavailable for %v, and that should be %v at most", r.Unavailable(), o.MaxReads)
	case r.Writes.AfterPromote > o.MaxWrites:
		return fmt.Errorf("writes were unavailable for %v after the promotion, and that should be %v at most", r.Writes.AfterPromote, o.MaxWrites)
	}
	return nil
}

// play leaves nothing behind but, when it fails, its folder.
func play(ctx context.Context, o options, out io.Writer) (report drill.Report, err error) {
	dir, err := os.MkdirTemp("", "leeway-failover-")
	if err != nil {
		return report, err
	}
	guard, err := guardian.Start(ctx, dir)
	if err != nil {
		return report, err
	}
	defer guard.Dismiss()
	defer func() {
		switch {
		case err != nil || !report.OK():
			fmt.Fprintln(out, "logs and history are in", dir)
		case o.Keep:
			fmt.Fprintln(out, "kept in", dir)
		default:
			err = os.RemoveAll(dir)
		}
	}()
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{Replicas: 2, Roles: migrations.Roles, InitSQL: migrations.RolesSQL})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	var nodes []drill.Node
	for _, n := range cluster.Nodes() {
		nodes = append(nodes, drill.Node{Name: n.Name(), DSN: n.DSN})
	}
	d, err := drill.Open(ctx, drill.Config{Nodes: nodes, Dir: dir, Orders: o.Orders})
	if err != nil {
		return report, err
	}
	defer d.Close()
	r := runbook{Drill: d, dir: cluster.Dir(), out: out}
	if err := r.follow(ctx); err != nil {
		return report, err
	}
	if report, err = d.End(ctx); err != nil {
		return report, err
	}
	fmt.Fprintf(out, "\n%s", report)
	return report, nil
}

// runbook is a drill in which commands are typed.
type runbook struct {
	*drill.Drill
	dir string // of the cluster
	out io.Writer
}

var chosen = regexp.MustCompile(`(?m)^promote (\S+):`)

// follow goes through docs/failover.md.
func (r runbook) follow(ctx context.Context) error {
	if err := r.Begin(ctx); err != nil {
		return err
	}
	r.say("clients place orders; now the primary is lost")
	r.Killed()
	if _, err := r.shop(ctx, "kill", "primary"); err != nil {
		return err
	}
	r.say("is it really gone?")
	if _, err := r.shop(ctx, "status"); err != nil {
		return err
	}
	r.say("which standby has every order?")
	said, err := r.shop(ctx, "choose")
	if err != nil {
		return err
	}
	next := chosen.FindStringSubmatch(said)
	if next == nil {
		return errors.New("nobody is chosen")
	}
	other := map[string]string{"replica-1": "replica-2", "replica-2": "replica-1"}[next[1]]
	r.say("promote it, and have the other one follow")
	r.Promoted()
	if _, err := r.shop(ctx, "promote", next[1]); err != nil {
		return err
	}
	if _, err := r.shop(ctx, "rejoin", other); err != nil {
		return err
	}
	if err := r.AwaitOrders(ctx, r.Record.Mark(), time.Minute); err != nil {
		return err
	}
	r.say("orders are placed again; bring the old primary back as a standby")
	if _, err := r.shop(ctx, "rejoin", "primary"); err != nil {
		return err
	}
	if err := r.AwaitGood(ctx); err != nil {
		return err
	}
	_, err = r.shop(ctx, "status")
	return err
}

func (r runbook) say(text string) {
	fmt.Fprintf(r.out, "\n%5.1f s  %s\n", r.Record.Now().Seconds(), text)
}

// shop runs "shop cluster VERB", and prints it with what it says.
func (r runbook) shop(ctx context.Context, args ...string) (said string, err error) {
	fmt.Fprintf(r.out, "         $ shop cluster %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, r.Binary(), append([]string{"cluster"}, args...)...)
	cmd.Env = append(os.Environ(), "SHOP_CLUSTER_DIR="+r.dir)
	text, err := cmd.CombinedOutput()
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		fmt.Fprintf(r.out, "         %s\n", lines.Text())
	}
	if err != nil {
		return "", fmt.Errorf("shop cluster %s: %w", args[0], err)
	}
	return string(text), nil
}
