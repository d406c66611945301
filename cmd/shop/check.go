package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/leeway/internal/check"
	"example.com/leeway/internal/pgcluster"
)

// checkCmd looks at the servers themselves, whether or not a shop runs on them.
type checkCmd struct {
	nodeFlags
	Dir   string `env:"SHOP_CLUSTER_DIR" help:"Look at the local cluster in this folder instead, and say what to type for it."`
	Local bool   `help:"Look at the one local cluster that runs on this machine."`

	JSON  bool          `name:"json" help:"One line of JSON."`
	Watch bool          `help:"Look again and again until Ctrl-C; bounds of standbys that are behind can then be proven. The exit code is that of the last look."`
	Every time.Duration `default:"2s" help:"How often to look."`

	Budget  time.Duration `env:"SHOP_BROWSE_BUDGET" default:"5s" help:"The largest lag budget of the shop: how old a standby may be."`
	Lag     int64         `default:"1048576" placeholder:"BYTES" help:"How many bytes a standby may be behind."`
	Slot    int64         `default:"268435456" placeholder:"BYTES" help:"How many bytes of log a slot may retain."`
	Wait    time.Duration `default:"500ms" help:"How long a standby may take in one look to prove that it has what the primary had."`
	Timeout time.Duration `default:"2s" help:"How long a server may take for a connection, and for an answer."`
}

// exitCode ends the program without another word: everything was said. For scripts,
// every failure to look is CRITICAL, for nothing is known then.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (c *checkCmd) Run(ctx context.Context, app *app) error {
	targets, remedies, err := c.targets()
	if err != nil {
		fmt.Fprintln(app.stderr, "shop: nothing was looked at:", err)
		return exitCode(check.CriticalStatus.ExitCode())
	}
	limits := check.Limits{Timeout: c.Timeout, Wait: c.Wait, Budget: c.Budget, Lag: c.Lag, Slot: c.Slot}
	checker := check.New(targets, limits)
	defer checker.Close()
	var last check.Status
	for {
		cluster, err := checker.Look(ctx)
		if err != nil {
			if last == "" {
				return err
			}
			return exit(last) // Ctrl-C
		}
		report := check.Judge(cluster, limits, remedies)
		if err := c.print(app.stdout, report); err != nil {
			return err
		}
		if last = report.Status; !c.Watch {
			return exit(last)
		}
		select {
		case <-ctx.Done():
			return exit(last)
		case <-time.After(c.Every):
		}
	}
}

func exit(status check.Status) error {
	if code := status.ExitCode(); code != 0 {
		return exitCode(code)
	}
	return nil
}

// targets are the nodes as the role that reads: it may read all statistics, and has no right to
// write anything.
func (c *checkCmd) targets() (targets []check.Target, remedies check.Remedies, err error) {
	remedies.Shop = commandName()
	if c.Local && c.Dir == "" {
		if c.Dir, err = onlyCluster(); err != nil {
			return nil, remedies, err
		}
	}
	flags := c.nodeFlags
	if c.Dir != "" {
		cluster, err := pgcluster.Attach(c.Dir)
		if err != nil {
			return nil, remedies, err
		}
		flags, remedies.Dir = clusterNodes(cluster), cluster.Dir()
	}
	var errs configErrors
	for _, n := range flags.parseNodes(&errs) {
		targets = append(targets, check.Target{Name: n.Name, DSN: n.ReadDSN})
	}
	return targets, remedies, errs.err()
}

func onlyCluster() (string, error) {
	running, err := pgcluster.Running()
	switch {
	case err != nil:
		return "", err
	case len(running) == 0:
		return "", errors.New("no temporary cluster runs here: start one with make demo, or name its folder with --dir")
	case len(running) > 1:
		return "", fmt.Errorf("several clusters run here, choose one with --dir:\n  %s", strings.Join(running, "\n  "))
	}
	return running[0], nil
}

// print clears a terminal that is watched, so that the report stays in its place.
func (c *checkCmd) print(w io.Writer, report check.Report) error {
	if c.JSON {
		return report.JSON(w)
	}
	terminal := isTerminal(w)
	if c.Watch {
		head := report.Cluster.At.Format("15:04:05") + ", every " + c.Every.String() + " until Ctrl-C\n\n"
		if terminal {
			head = "\x1b[H\x1b[2J" + head
		}
		if _, err := io.WriteString(w, head); err != nil {
			return err
		}
	}
	return report.Text(w, terminal && os.Getenv("NO_COLOR") == "")
}

// isTerminal takes /dev/null for one too, where nobody minds.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
