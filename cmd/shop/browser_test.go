package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"example.com/leeway/internal/dbtest"
)

// A browser has one page open in headless Chromium. What a page must never do is a
// failure of its test: write an error to the console, or ask anybody but the shop.
type browser struct {
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// A screen is what a page is shown on.
type screen struct {
	width, height int64
	theme         string // light or dark
	still         bool   // its owner wants no motion
}

var (
	desktop = screen{width: 1280, height: 900, theme: "light"}
	phone   = screen{width: 360, height: 740, theme: "dark"}
)

// chromium finds the program. Where CI is set the tests of the page must run; elsewhere
// somebody may well have no browser, and is told what that leaves out.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const remedy = "there is no Chromium; on Debian: apt-get install chromium"
	if os.Getenv("CI") != "" {
		t.Fatal(remedy)
	}
	t.Skip("NOT RUN, the live page is not tested: " + remedy)
	return ""
}

// open shows the page until the test ends.
func open(t *testing.T, page string, on screen) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's refuses root
	}
	parent, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	b := &browser{}
	b.ctx, cancel = chromedp.NewContext(parent)
	t.Cleanup(cancel)
	home, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(b.ctx, func(event any) { b.note(home.Host, event) }); err != nil {
		t.Fatal(err)
	}
	motion := "no-preference"
	if on.still {
		motion = "reduce"
	}
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: on.theme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.EmulateViewport(on.width, on.height), chromedp.Navigate(page))
	return b
}

// note looks at what happens in the browser, in its own order.
func (b *browser) note(host string, event any) {
	problem := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		to, err := url.Parse(e.Request.URL)
		if err != nil || to.Host != host && to.Scheme != "data" && to.Scheme != "blob" {
			problem = "it asks " + e.Request.URL
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			problem = fmt.Sprintf("console %s: %v", e.Type, e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			problem = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// clean fails the test with whatever the page did wrong so far.
func (b *browser) clean(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		t.Error("the page: " + problem)
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*dbtest.Limit)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// see waits until an expression of the page is true; it is looked at in every frame.
func (b *browser) see(t *testing.T, what, expression string) {
	t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void]("Boolean("+expression+")", chromedp.WithPollingTimeout(2*dbtest.Limit)))
	if err != nil {
		b.clean(t)
		t.Fatalf("not seen: %s (%s): %v\n%s", what, expression, err, b.text(t, "document.body.innerText"))
	}
}

// text evaluates an expression.
func (b *browser) text(t *testing.T, expression string) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// click presses what the selector finds, once it can be pressed.
func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	b.see(t, selector+" can be pressed", "document.querySelector('"+selector+"')?.disabled === false")
	b.do(t, chromedp.Click(chromedp.CSS(selector)))
}

// startDemo runs "shop demo" until the test ends. It returns the address of the shop, that
// of its live page with the key, and the folder of its servers.
func startDemo(t *testing.T) (shop, page, dir string) {
	t.Helper()
	var out buffer
	ctx, interrupt := context.WithCancel(context.Background())
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--products", "200"}, &app{&out, &out})
	}()
	t.Cleanup(func() {
		interrupt()
		if code := <-exit; code != 0 {
			t.Errorf("the demo ended with %d", code)
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	dbtest.Started(t, "the demo tells its address", func() bool { return strings.Contains(out.String(), "Ctrl-C here") })
	page = find(t, out.String(), `http://\S+/lab#key=\w+`)
	shop, _, _ = strings.Cut(page, "/lab")
	return shop, page, find(t, out.String(), `cluster pause --dir (\S+)`)
}
