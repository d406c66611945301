package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// node is the card of a server, and verb one of its buttons.
func node(name string) string { return fmt.Sprintf(`document.querySelector("[data-node=%s]")`, name) }

func verb(name, verb string) string {
	return fmt.Sprintf(`[data-node="%s"] [data-verb="%s"]`, name, verb)
}

// layer is what the chart of reads says of one of its layers: reads per second.
func layer(key string) string {
	return fmt.Sprintf(`parseFloat(document.querySelector('#reads-legend [data-key="%s"] strong')?.textContent ?? "0")`, key)
}

const bounds = `[...document.querySelectorAll("[data-bound]")].filter((c) => c.dataset.bound).map((c) => Number(c.dataset.bound))`

// A person with a browser and a real demo: what is broken is seen, and mended again. One
// demo for all of it; its servers are in order at the end of each part.
func TestLivePage(t *testing.T) {
	t.Parallel()
	chromium(t) // before three servers are started
	shop, page, dir := startDemo(t)
	t.Run("a lag", func(t *testing.T) { seeALag(t, shop, page) })
	t.Run("a failover", func(t *testing.T) { seeAFailover(t, page, dir) })
	t.Run("by keyboard on a phone", func(t *testing.T) { useTheKeyboard(t, page) })
	t.Run("without the key", func(t *testing.T) { lookOnly(t, shop) })
}

// A pause is a rising bound, sources flip to the primary and back, and the page says so.
func seeALag(t *testing.T, shop, page string) {
	b := open(t, page, desktop)
	b.see(t, "three servers, all well", `document.querySelectorAll(".node").length === 3 && document.querySelector("#verdict").dataset.verdict === "good"`)
	if hash := b.text(t, "location.hash"); hash != "" {
		t.Errorf("the key stays in the address bar: %s", hash)
	}
	b.click(t, "#load")
	for _, replica := range []string{"replica-1", "replica-2"} {
		b.see(t, replica+" answers reads", layer("proven:"+replica)+" > 1")
	}
	b.see(t, "orders are placed", `parseFloat(document.querySelector('#orders-legend [data-key="orders"] strong').textContent) > 0`)
	b.see(t, "the log flows", `document.querySelectorAll("#wires .wal.flowing").length === 2`)
	for _, chart := range []string{"bound", "reads", "orders", "stock"} {
		b.see(t, "something is drawn on "+chart, drawn(chart))
	}

	b.click(t, verb("replica-1", "pause"))
	b.click(t, verb("replica-2", "pause"))
	b.see(t, "own writes are read from the primary", layer("token")+" > 0")
	b.see(t, "the bounds are beyond the carts' budget", bounds+".length === 2 && "+bounds+".every((s) => s > 1)")
	before := b.text(t, "Math.max(..."+bounds+")")
	b.see(t, "the bounds rise", bounds+".every((s) => s > 2 + "+before+")")
	b.see(t, "the log is stuck", `document.querySelectorAll("#wires .wal.stuck").length === 2`)
	b.see(t, "product pages come from the primary", layer("lag")+" > 0")
	b.see(t, "lists are stale", layer("stale")+" > 0")
	b.see(t, "no replica proves anything", layer("proven:replica-1")+" === 0 && "+layer("proven:replica-2")+" === 0 && Number("+node("primary")+".dataset.reads) > 1")
	b.see(t, "what the replicas have in stock is partly sold", `document.querySelector("[data-node=replica-1] .facts").innerText.match(/sold already\s+[1-9]/)`)
	for _, kind := range []string{"fallback", "stale", "warning"} {
		b.see(t, "it is noted: "+kind, `document.querySelector("#log [data-kind=`+kind+`]")`)
	}
	if a := send(t, "GET", shop+"/v1/products", nil); !strings.Contains(a.source(), ";stale;reason=lag") {
		t.Errorf("the list itself is from %q", a.source())
	}

	b.click(t, verb("replica-1", "resume"))
	b.click(t, verb("replica-2", "resume"))
	b.see(t, "all is well again", `document.querySelector("#verdict").dataset.verdict === "good" && `+bounds+".every((s) => s < 1)")
	b.see(t, "replicas answer again", layer("proven:replica-1")+" > 1 && "+layer("lag")+" === 0")
	b.clean(t)
}

// drawn: there are pixels on the chart's canvas that are neither empty nor grey.
func drawn(chart string) string {
	return `(() => {
		const c = document.querySelector("#` + chart + ` canvas");
		const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
		copy.drawImage(c, 0, 0);
		const d = copy.getImageData(0, 0, c.width, c.height).data;
		let n = 0;
		for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200 && Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 60) n++;
		return n > 50;
	})()`
}

// The guided tour from its fifth step: the primary is lost, a replica promoted, the others
// rejoin, and shoppers go on. It is the replica that has received most, although it has
// replayed less than the other.
func seeAFailover(t *testing.T, page, dir string) {
	b := open(t, page, desktop)
	b.see(t, "shoppers are there, and the tour", `document.querySelector("#load").dataset.running === "true" && document.querySelector("#tour-place").textContent.includes("of 8")`)
	for range 4 {
		b.click(t, "#tour-next")
	}
	b.click(t, verb("replica-1", "pause"))
	other := deafen(t, dir)
	b.click(t, "[data-do=kill]")
	b.see(t, "the primary is down", node("primary")+`.dataset.state === "down" && document.querySelector("[data-alarm=no_primary]")`)
	b.ticked(t)
	b.click(t, "#tour-next")
	b.see(t, "the one that has received most is offered", `document.querySelector("[data-do=promote]").textContent.includes("replica-1")`)
	b.click(t, "[data-do=promote]")
	b.see(t, "it is the primary", node("replica-1")+`.dataset.state === "primary"`)
	dbtest.Do(t, other.Thaw)
	b.ticked(t)
	b.click(t, "#tour-next")
	b.click(t, "[data-do=rejoin]")
	b.ticked(t)
	b.see(t, "all is well, and orders are placed", `document.querySelector("#verdict").dataset.verdict === "good" && parseFloat(document.querySelector('#orders-legend [data-key="orders"] strong').textContent) > 0`)
	b.see(t, "it is noted", `[...document.querySelectorAll("#log [data-kind=primary]")].some((e) => e.textContent.includes("was promoted"))`)
	b.click(t, "#tour-next")
	b.click(t, "[data-do=stop]")
	b.see(t, "the shoppers have gone", `document.querySelector("#load").dataset.running === "false"`)
	b.clean(t)
}

// deafen has replica-2, which replays, receive no more while shoppers buy: less than
// replica-1 has, which is paused.
func deafen(t *testing.T, dir string) *pgcluster.Node {
	t.Helper()
	cluster, err := pgcluster.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	paused, other := cluster.Nodes()[1], cluster.Nodes()[2]
	see := func(n *pgcluster.Node) pgcluster.Status {
		st, err := n.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	dbtest.Eventually(t, "replica-1 is paused, and replica-2 replays more", func() bool {
		st := see(paused)
		return st.ReplayPaused && st.LSN < see(other).LSN
	})
	dbtest.Do(t, func(ctx context.Context) error { return other.FreezeProcess(ctx, pgcluster.WALReceiver) })
	dbtest.Eventually(t, "replica-1 receives more", func() bool { return see(paused).Received > see(other).Received })
	if p, o := see(paused), see(other); p.LSN >= o.LSN {
		t.Fatalf("the one that has received %v has replayed %v, the other %v: the test shows nothing", p.Received, p.LSN, o.LSN)
	}
	return other
}

// ticked waits until the tour has seen all that its step asks to watch.
func (b *browser) ticked(t *testing.T) {
	t.Helper()
	b.see(t, "the step of the tour is done", `document.querySelectorAll("#tour-watch li").length > 0 && !document.querySelector("#tour-watch li:not(.done)")`)
}

// Everything is reached and done by keyboard, and fits the width of a phone.
func useTheKeyboard(t *testing.T, page string) {
	still := phone
	still.still = true
	b := open(t, page, still)
	b.see(t, "the buttons", `document.querySelectorAll(".node [data-verb=pause]:enabled").length === 2`)
	if wide := b.text(t, "document.documentElement.scrollWidth"); wide != strconv.FormatInt(phone.width, 10) {
		t.Errorf("the page is %s pixels wide on a phone of %d", wide, phone.width)
	}
	small := b.text(t, `[...document.querySelectorAll("button")].filter((x) => x.offsetParent && (x.offsetHeight < 24 || x.offsetWidth < 24)).map((x) => x.id || x.textContent)`)
	if small != "" {
		t.Errorf("too small for a finger: %s", small)
	}
	b.click(t, "#load")
	b.see(t, "the log flows, and nothing moves", `document.querySelectorAll("#wires .wal.flowing").length === 2 &&
		[...document.querySelectorAll("#wires path")].every((p) => getComputedStyle(p).animationName === "none")`)

	name := b.text(t, `document.querySelector(".node [data-verb=pause]:enabled").closest(".node").dataset.node`)
	b.tabTo(t, "pause", name)
	b.do(t, chromedp.KeyEvent(kb.Enter))
	b.see(t, name+" is paused, and the focus stays", node(name)+`.dataset.state === "paused" && document.activeElement.dataset.verb === "resume"`)
	b.do(t, chromedp.KeyEvent(kb.Enter))
	b.see(t, name+" is resumed", node(name)+`.dataset.state === "streaming"`)
	b.clean(t)
}

// tabTo presses Tab until a node's button has the focus, which must be seen on each
// element on the way.
func (b *browser) tabTo(t *testing.T, verb, node string) {
	t.Helper()
	for range 60 {
		b.do(t, chromedp.KeyEvent(kb.Tab))
		at := b.text(t, `[document.activeElement.dataset.verb, document.activeElement.closest(".node")?.dataset.node, getComputedStyle(document.activeElement).outlineStyle]`)
		if !strings.HasSuffix(at, ",solid") {
			t.Errorf("the focus is not seen on %s", b.text(t, "document.activeElement.outerHTML"))
		}
		if strings.HasPrefix(at, verb+","+node+",") {
			return
		}
	}
	t.Fatalf("no way to %s %s by Tab", verb, node)
}

// Whoever has no key sees everything, and is offered nothing that would be refused.
func lookOnly(t *testing.T, shop string) {
	b := open(t, shop+"/lab", phone)
	b.see(t, "the servers", `document.querySelectorAll(".node[data-state=streaming]").length === 2`)
	b.see(t, "the tour explains the page", `document.querySelector("#tour-place").textContent.includes("of 3")`)
	if buttons := b.text(t, `[...document.querySelectorAll(".node button, #load")].filter((x) => x.offsetParent).length`); buttons != "0" {
		t.Errorf("%s buttons without a key", buttons)
	}
	dbtest.Eventually(t, "it is the demo's own page all the same", func() bool {
		return send(t, "GET", shop+"/lab", nil).status == 200
	})
	b.clean(t)
}
