package shoppers

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// An App is one process of the shop: the real program, on a port of its own. Its
// methods are for one goroutine, but for URL.
type App struct {
	Name string
	Log  string // the file of its output, of all its lives

	binary string
	env    []string
	url    atomic.Pointer[string] // clients ask while it is started anew

	cmd  *exec.Cmd
	gone chan struct{}
}

// NewApp prepares a process of the binary that logs into dir. env is what configures
// it beside its address: "SHOP_NODES=..." and so on; nothing else of the caller's
// SHOP_ variables reaches it. Its output is that of --no-access-log.
func (c *Crowd) NewApp(name, binary, dir string, env ...string) *App {
	a := &App{
		Name: name, binary: binary, Log: filepath.Join(dir, name+".log"),
		env: append([]string{
			"SHOP_TOKEN_KEY=" + base64.StdEncoding.EncodeToString(tokenKey),
			"SHOP_ADDR=127.0.0.1:0", "SHOP_ACCESS_LOG=false", "SHOP_SHUTDOWN_TIMEOUT=1s",
			"SHOP_RATE_ADDRESS=0", "SHOP_RATE_KEY=0", // all clients are one address
			"GOMAXPROCS=2",
		}, env...),
	}
	c.Apps = append(c.Apps, a)
	return a
}

// URL is where it serves, or served last.
func (a *App) URL() string { return *a.url.Load() }

// Pid is of its current life.
func (a *App) Pid() int { return a.cmd.Process.Pid }

// Alive tells whether the life that began with the last Start has not ended.
func (a *App) Alive() bool {
	select {
	case <-a.gone:
		return false
	default:
		return true
	}
}

var servingAt = regexp.MustCompile(`msg=serving url=(\S+)`)

// Start returns when the process says where it serves.
func (a *App) Start(ctx context.Context) error {
	out, err := os.OpenFile(a.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	a.cmd = exec.CommandContext(context.WithoutCancel(ctx), a.binary, "serve")
	a.cmd.Env, a.cmd.Stderr = append(foreignEnv(), a.env...), writer
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	err = a.cmd.Start()
	writer.Close()
	if err != nil {
		reader.Close()
		return err
	}
	url := make(chan string, 1)
	go a.follow(reader, url)
	a.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(gone)
	}(a.cmd, a.gone)
	select {
	case at := <-url:
		a.url.Store(&at)
		return nil
	case <-a.gone:
		return fmt.Errorf("the shop ended at once; see %s", a.Log)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the shop does not say where it serves; see %s", a.Log), ctx.Err())
	}
}

// foreignEnv is the environment without what would configure a shop.
func foreignEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SHOP_") })
}

// follow copies the process's output into its log.
func (a *App) follow(reader io.ReadCloser, url chan<- string) {
	defer reader.Close()
	out, err := os.OpenFile(a.Log, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer out.Close()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(out, line)
		if match := servingAt.FindStringSubmatch(line); match != nil {
			url <- strings.Trim(match[1], `"`)
		}
	}
}

// Kill ends the process as a power cut would.
func (a *App) Kill() {
	_ = a.cmd.Process.Kill() // it may have ended already
	<-a.gone
}

// Stop asks it to end, and kills it if it takes its time.
func (a *App) Stop() {
	if a.gone == nil {
		return // it never began
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.gone:
	case <-time.After(3 * time.Second):
		a.Kill()
	}
}
