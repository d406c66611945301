package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/pgcluster"
)

// someStandbys is what pause and resume act on.
type someStandbys struct {
	clusterDir
	Node string `arg:"" optional:"" help:"One standby; without it, all of them."`
}

type clusterPauseCmd struct{ someStandbys }

// Run also writes a record into the primary's log: a standby that has nothing
// to replay misses nothing, and is as fresh as ever while its replay is paused.
func (c *clusterPauseCmd) Run(ctx context.Context, app *app) error {
	if err := c.each(ctx, app, "paused", (*pgcluster.Node).PauseReplay); err != nil {
		return err
	}
	return c.writeSomething(ctx)
}

func (d clusterDir) writeSomething(ctx context.Context) error {
	cluster, err := pgcluster.Attach(d.Dir)
	if err != nil {
		return err
	}
	primary, err := cluster.Primary(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, primary.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// local: no standby may be left that could confirm it.
	_, err = conn.Exec(ctx, "SET synchronous_commit = local; SELECT pg_logical_emit_message(true, 'leeway', 'pause')")
	return err
}

type clusterResumeCmd struct{ someStandbys }

func (c *clusterResumeCmd) Run(ctx context.Context, app *app) error {
	return c.each(ctx, app, "resumed", (*pgcluster.Node).ResumeReplay)
}

// each passes over nodes that are down or frozen, unless one was named.
func (c *someStandbys) each(ctx context.Context, app *app, done string, verb nodeVerb) error {
	if c.Node != "" {
		return c.on(ctx, app, c.Node, done, verb)
	}
	cluster, err := pgcluster.Attach(c.Dir)
	if err != nil {
		return err
	}
	found := false
	for _, n := range cluster.Nodes() {
		st, statusErr := n.Status(ctx)
		if statusErr == nil && st.Role == pgcluster.RoleStandby {
			found = true
			err = errors.Join(err, c.on(ctx, app, n.Name(), done, verb))
		}
	}
	if !found {
		return errors.New("no standby answers: see shop cluster status")
	}
	return err
}

type nodeVerb = func(*pgcluster.Node, context.Context) error

// on runs a verb of one node and prints what became of it.
func (d clusterDir) on(ctx context.Context, app *app, name, done string, verb nodeVerb) error {
	cluster, err := pgcluster.Attach(d.Dir)
	if err != nil {
		return err
	}
	node, err := cluster.Node(name)
	if err != nil {
		return err
	}
	if err := verb(node, ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.stdout, "%s %s\n", name, done)
	return err
}

type oneNode struct {
	clusterDir
	Node string `arg:"" help:"primary, replica-1, replica-2 ..."`
}

type clusterFreezeCmd struct{ oneNode }

func (c *clusterFreezeCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "frozen", (*pgcluster.Node).Freeze)
}

type clusterThawCmd struct{ oneNode }

func (c *clusterThawCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "thawed", (*pgcluster.Node).Thaw)
}

type clusterStopCmd struct{ oneNode }

func (c *clusterStopCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "stopped", (*pgcluster.Node).Stop)
}

type clusterStartCmd struct{ oneNode }

func (c *clusterStartCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "started", (*pgcluster.Node).Start)
}

type clusterKillCmd struct{ oneNode }

func (c *clusterKillCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "killed", (*pgcluster.Node).Kill)
}

type clusterRejoinCmd struct{ oneNode }

func (c *clusterRejoinCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "is a standby of the current primary", (*pgcluster.Node).Rejoin)
}

type clusterRebuildCmd struct{ oneNode }

func (c *clusterRebuildCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "is a new copy of the current primary", (*pgcluster.Node).Rebuild)
}

type clusterAddCmd struct{ clusterDir }

// Run also prints the shop's new setting: a shop that runs does not know of the node.
func (c *clusterAddCmd) Run(ctx context.Context, app *app) error {
	cluster, err := pgcluster.Attach(c.Dir)
	if err != nil {
		return err
	}
	node, err := cluster.Add(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.stdout, "%s streams. For the shop, which then reads from it too:\n  export SHOP_NODES='%s'\n",
		node.Name(), clusterNodes(cluster).Nodes)
	return err
}

type clusterSQLCmd struct {
	oneNode
	Statement string `arg:"" help:"For example 'SELECT pg_last_wal_replay_lsn()'."`
}

// Run prints rows as they are, their columns apart by tabs.
func (c *clusterSQLCmd) Run(ctx context.Context, app *app) error {
	cluster, err := pgcluster.Attach(c.Dir)
	if err != nil {
		return err
	}
	node, err := cluster.Node(c.Node)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, node.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("%s does not answer", node.Name()) // the driver's text names the user and the host
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, c.Statement).ReadAll() // simple protocol: each value as text
	for _, result := range results {
		for _, row := range result.Rows {
			fmt.Fprintln(app.stdout, string(bytes.Join(row, []byte("\t"))))
		}
		fmt.Fprintln(app.stdout, result.CommandTag)
	}
	return err
}

type clusterPromoteCmd struct {
	oneNode
	Force bool `help:"Promote even if that makes a second primary or loses acknowledged commits."`
}

func (c *clusterPromoteCmd) Run(ctx context.Context, app *app) error {
	return c.on(ctx, app, c.Node, "is the primary. With synchronous replication its commits wait until a standby follows it: "+
		commandName()+" cluster rejoin NODE --dir "+c.Dir,
		func(n *pgcluster.Node, ctx context.Context) error {
			if !c.Force {
				if err := mayPromote(ctx, c.Dir, n); err != nil {
					return fmt.Errorf("%w, or give --force", err)
				}
			}
			return n.Promote(ctx)
		})
}
