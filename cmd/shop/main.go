// Command shop is the sample shop: its server, its demo, and the tools around
// them. Run "shop --help".
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], &app{stdout: os.Stdout, stderr: os.Stderr}))
}

// app is what a subcommand may touch of the outside world, besides the context
// that ends with Ctrl-C.
type app struct{ stdout, stderr io.Writer }

// run parses the arguments, runs the subcommand and returns the exit code: 0,
// 1 for a failure, 2 for a mistake in the arguments.
func run(ctx context.Context, args []string, app *app) int {
	command, code, err := parse(ctx, args, app)
	if err != nil || command == nil {
		return code
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(app.stderr, "shop:", err)
		return 1
	}
	return 0
}
