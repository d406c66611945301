package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/migrations"
)

// clusterCmd holds a local cluster and breaks it from a second terminal.
type clusterCmd struct {
	Up      clusterUpCmd      `cmd:"" help:"Start a primary and its standbys; hold them until Ctrl-C."`
	Status  clusterStatusCmd  `cmd:"" help:"Show every node."`
	Pause   clusterPauseCmd   `cmd:"" help:"Stop replay, and write something: what a standby shows gets old."`
	Resume  clusterResumeCmd  `cmd:"" help:"Undo pause."`
	Freeze  clusterFreezeCmd  `cmd:"" help:"Stop every process of a node (SIGSTOP): it hangs."`
	Thaw    clusterThawCmd    `cmd:"" help:"Undo freeze."`
	Stop    clusterStopCmd    `cmd:"" help:"Shut a node down in order."`
	Start   clusterStartCmd   `cmd:"" help:"Start a node that is down."`
	Kill    clusterKillCmd    `cmd:"" help:"End every process of a node (SIGKILL)."`
	Choose  clusterChooseCmd  `cmd:"" help:"Tell which standby may be promoted, and why; exit 1 if none may."`
	Promote clusterPromoteCmd `cmd:"" help:"Make a standby the primary."`
	Rejoin  clusterRejoinCmd  `cmd:"" help:"Make a node a standby of the current primary: by telling it, by pg_rewind or, where neither will do, by a new copy."`
	Rebuild clusterRebuildCmd `cmd:"" help:"Make a node a standby by a new copy of the current primary, whatever it has."`
	Add     clusterAddCmd     `cmd:"" help:"Make one more standby."`
	SQL     clusterSQLCmd     `cmd:"" name:"sql" help:"Run a statement on a node, as its superuser."`
}

// clusterConfig is the cluster that the shop needs; the demo starts it too.
func clusterConfig() pgcluster.Config {
	return pgcluster.Config{
		Replicas: 2,
		Database: "shop",
		Roles:    migrations.Roles,
		InitSQL:  migrations.RolesSQL,
	}
}

type clusterUpCmd struct {
	Dir      string `help:"Keep the cluster in this folder, or reopen it; without one it is temporary." env:"SHOP_CLUSTER_DIR" type:"path"`
	Replicas int    `help:"Number of standbys." default:"2"`
	Async    bool   `help:"Do not wait for a standby on commit: a failover may lose orders."`
}

// Run holds the cluster until ctx ends, which is Ctrl-C.
func (c *clusterUpCmd) Run(ctx context.Context, app *app) (err error) {
	cfg := clusterConfig()
	cfg.Dir, cfg.Replicas, cfg.Async = c.Dir, c.Replicas, c.Async
	cfg.Progress = func(step string) { fmt.Fprintln(app.stderr, step) }
	cluster, err := pgcluster.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if err := printCluster(ctx, app.stdout, cluster); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(app.stderr, "stopping the cluster")
	return nil
}

func printCluster(ctx context.Context, out io.Writer, cluster *pgcluster.Cluster) error {
	primary, err := cluster.Primary(ctx)
	if err != nil {
		return err
	}
	flags := clusterNodes(cluster)
	_, err = strings.NewReplacer(
		"{shop}", commandName(), "{dir}", cluster.Dir(), "{owner}", primary.DSN("shop_owner"),
		"{nodes}", flags.Nodes, "{user}", flags.ReadUser, "{password}", flags.ReadPassword,
	).WriteString(out, clusterText)
	return err
}

const clusterText = `
For {shop} migrate, seed and serve in a second terminal:
  export SHOP_CLUSTER_DIR={dir}
  export SHOP_MIGRATE_DSN='{owner}'
  export SHOP_NODES='{nodes}'
  export SHOP_READ_USER={user} SHOP_READ_PASSWORD={password}
  export SHOP_TOKEN_KEY="$(openssl rand -base64 32)"
And to break things there:
  {shop} check                     what is wrong, and what to type against it
  {shop} cluster status
  {shop} cluster pause             every standby stops replaying
  {shop} cluster resume
  {shop} cluster kill primary      then: {shop} cluster promote replica-1
                                   and:  {shop} cluster rejoin primary (and replica-2)
Ctrl-C here ends it.
`

// clusterNodes is what SHOP_NODES and its companions would say of the cluster.
func clusterNodes(cluster *pgcluster.Cluster) nodeFlags {
	var nodes []fresh.NodeConfig
	for _, n := range cluster.Nodes() {
		nodes = append(nodes, fresh.NodeConfig{Name: n.Name(), WriteDSN: n.DSN("shop_rw"), ReadDSN: n.DSN("shop_ro")})
	}
	return flagsOf(nodes)
}

// clusterDir finds a running cluster.
type clusterDir struct {
	Dir string `help:"Folder of the running cluster, as 'cluster up' printed it." env:"SHOP_CLUSTER_DIR" required:"" type:"path"`
}

type clusterStatusCmd struct {
	clusterDir
}

func (c *clusterStatusCmd) Run(ctx context.Context, app *app) error {
	cluster, err := pgcluster.Attach(c.Dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tTIMELINE\tLSN\tREPLAY\tSTREAM\tSYNC\tPID\tADDRESS")
	for _, n := range cluster.Nodes() {
		st, err := n.Status(ctx)
		if err != nil { // it runs and does not answer, for instance while it starts
			fmt.Fprintf(w, "%s\tunknown\t\t\t\t\t\t\t%s\t%v\n", n.Name(), n.Addr(), err)
			continue
		}
		fmt.Fprintln(w, statusRow(n, st))
	}
	return w.Flush()
}

func statusRow(n *pgcluster.Node, st pgcluster.Status) string {
	timeline, lsn, replay, stream := "-", "-", "-", "-"
	if st.Timeline != 0 {
		timeline, lsn = fmt.Sprint(st.Timeline), st.LSN.String()
	}
	if st.Role == pgcluster.RoleStandby {
		replay, stream = "running", "cut"
		if st.ReplayPaused {
			replay = "paused"
		}
		if st.Streaming {
			stream = "streaming"
		}
	}
	pid := "-"
	if st.Pid != 0 {
		pid = fmt.Sprint(st.Pid)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s",
		n.Name(), st.Role, timeline, lsn, replay, stream, cmp.Or(st.SyncState, "-"), pid, n.Addr())
}
