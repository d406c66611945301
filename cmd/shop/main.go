// Command shop is the sample shop: its server, its demo, and the tools around
// them. Run "shop --help".
package main

import (
	"context"
	"errors"
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

// interrupted is 128 and the number of SIGINT, as shells have it.
const interrupted = 130

// run parses the arguments, runs the subcommand and returns the exit code: 0,
// 1 for a failure, 2 for a mistake in the arguments, 130 after Ctrl-C; a subcommand
// may have its own meaning for 1, 2 and 3.
func run(ctx context.Context, args []string, app *app) int {
	command, code, err := parse(ctx, args, app)
	if err != nil || command == nil {
		return code
	}
	if err := command.Run(); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			fmt.Fprintln(app.stderr, "shop: interrupted")
			return interrupted
		}
		fmt.Fprintln(app.stderr, "shop:", err)
		return 1
	}
	return 0
}
