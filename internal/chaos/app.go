package main

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

// An app is one process of the shop: the real program, on a port of its own,
// that reaches every node through links.
type app struct {
	name   string
	binary string
	env    []string
	log    string                 // its output, of all its lives
	url    atomic.Pointer[string] // clients ask while it is started anew

	cmd  *exec.Cmd
	gone chan struct{}
}

// The budgets and limits that the shop runs under here. They are shorter than the
// defaults, so that a fault shows, and is over, within seconds.
const (
	requestTimeout = 2 * time.Second
	browseBudget   = time.Second
	sessionBudget  = 500 * time.Millisecond
	fallbackConns  = 3
)

func newApp(name, binary, dir, nodes, reader, readerPassword string, tokenKey []byte) *app {
	return &app{
		name: name, binary: binary, log: filepath.Join(dir, name+".log"),
		env: []string{
			"SHOP_NODES=" + nodes,
			"SHOP_READ_USER=" + reader, "SHOP_READ_PASSWORD=" + readerPassword,
			"SHOP_TOKEN_KEY=" + base64.StdEncoding.EncodeToString(tokenKey),
			"SHOP_ADDR=127.0.0.1:0", "SHOP_ACCESS_LOG=false",
			"SHOP_REQUEST_TIMEOUT=" + requestTimeout.String(), "SHOP_SHUTDOWN_TIMEOUT=1s",
			"SHOP_BROWSE_BUDGET=" + browseBudget.String(), "SHOP_SESSION_BUDGET=" + sessionBudget.String(),
			"SHOP_FALLBACK_CONNS=" + fmt.Sprint(fallbackConns),
			"SHOP_RATE_ADDRESS=0", "SHOP_RATE_KEY=0", // all clients are one address
			"GOMAXPROCS=2",
		},
	}
}

var servingAt = regexp.MustCompile(`msg=serving url=(\S+)`)

// start returns when the process says where it serves.
func (a *app) start(ctx context.Context) error {
	out, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
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
		return fmt.Errorf("the shop ended at once; see %s", a.log)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the shop does not say where it serves; see %s", a.log), ctx.Err())
	}
}

// foreignEnv is the environment without what would configure a shop.
func foreignEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SHOP_") })
}

// follow copies the process's output into its log.
func (a *app) follow(reader io.ReadCloser, url chan<- string) {
	defer reader.Close()
	out, err := os.OpenFile(a.log, os.O_APPEND|os.O_WRONLY, 0o644)
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

// kill ends the process as a power cut would.
func (a *app) kill() {
	_ = a.cmd.Process.Kill() // it may have ended already
	<-a.gone
}

// stop asks it to end, and kills it if it takes its time.
func (a *app) stop() {
	if a.gone == nil {
		return // it never began
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.gone:
	case <-time.After(3 * time.Second):
		a.kill()
	}
}
