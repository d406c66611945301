package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the whole command line: subcommands, flags, their environment
// variables and their help texts come from here and from nowhere else.
type cli struct {
	Demo    demoCmd    `cmd:"" help:"Start everything on this machine: PostgreSQL servers, schema, sample data, the shop. It has no rate limits, so that it can be load-tested."`
	Serve   serveCmd   `cmd:"" help:"Serve the HTTP API on existing PostgreSQL servers."`
	Health  healthCmd  `cmd:"" help:"Ask the shop that serves on this machine whether it is ready. Exit 0 if it is."`
	Migrate migrateCmd `cmd:"" help:"Bring the schema up to date, or look at it."`
	Seed    seedCmd    `cmd:"" help:"Load a sample catalog, or one of your own."`
	Check   checkCmd   `cmd:"" help:"Look at the servers: what replicates, how far, and what is wrong. Exit 0, 1 or 2 for GOOD, WARNING or CRITICAL."`
	Cluster clusterCmd `cmd:"" help:"Run a local primary with standbys, and break it on purpose."`
	Load    loadCmd    `cmd:"" help:"Ask a shop for a lot, measure what its clients see, and check what it promised. Exit 1 if a promise was broken, 3 if one could not be checked."`
}

// warnings is the log of a command that talks to a person: what it has to say
// goes to its output, and the log only says what is wrong.
func warnings(app *app) *slog.Logger {
	return slog.New(slog.NewTextHandler(app.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// parse returns the command to run. It is nil when help was asked for, or when
// the arguments are wrong; the text has then been printed, and code is the exit
// code.
func parse(ctx context.Context, args []string, app *app) (command *kong.Context, code int, err error) {
	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("shop"),
		kong.Description("Leeway: a shop that reads from PostgreSQL replicas and proves that what it shows is fresh enough."),
		kong.Writers(app.stdout, app.stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(app),
	)
	if err != nil {
		return nil, 2, err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err = parser.Parse(args)
	if exit >= 0 { // --help was printed
		return nil, exit, nil
	}
	if err != nil {
		fmt.Fprintf(app.stderr, "shop: %v%s\nTry 'shop --help'.\n", err, variables(err))
		return nil, 2, err
	}
	return command, 0, nil
}

// variables names the environment variables of the required flags that were not given,
// since kong's message names the flags alone.
func variables(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || !strings.HasPrefix(err.Error(), "missing flags") {
		return ""
	}
	var names []string
	for _, flag := range wrong.Context.Flags() {
		if flag.Required && !flag.Set {
			names = append(names, flag.Envs...)
		}
	}
	return "; or set " + strings.Join(names, " and ")
}
