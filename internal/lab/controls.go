package lab

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/web"
)

// KeyHeader is where a request to the controls has the key of the run. A page of another
// origin cannot send it: the browser would ask first, and is not answered.
const KeyHeader = "X-Lab-Key"

// A Verb does something to a server, and returns when its effect is there.
type Verb func(*pgcluster.Node, context.Context) error

// Controls break the servers of a demo and send it shoppers. They are no part of the
// shop's API, only "shop demo" has them, and they answer nobody but a holder of the key
// on this machine.
type Controls struct {
	key     [sha256.Size]byte
	cluster *pgcluster.Cluster
	verbs   map[string]Verb
	log     *slog.Logger
	load    *load
	nodes   *observer
	queue   chan struct{} // verbs under way or waiting for their turn
	life    context.Context
	end     context.CancelFunc
}

// ControlsConfig is what controls need to know.
type ControlsConfig struct {
	Key     string // new for each run
	Cluster *pgcluster.Cluster
	Verbs   map[string]Verb
	Reader  string // role that may read the stock
	Shop    string // URL for the shoppers
	Log     *slog.Logger
}

// NewControls does nothing yet. The caller closes the controls.
func NewControls(config ControlsConfig) *Controls {
	c := &Controls{
		key: sha256.Sum256([]byte(config.Key)), cluster: config.Cluster, verbs: config.Verbs, log: config.Log,
		nodes: newObserver(config.Cluster, config.Reader), queue: make(chan struct{}, 4),
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.load = newLoad(c.life, config.Shop)
	return c
}

// Close stops the shoppers and whatever verb is under way.
func (c *Controls) Close() {
	c.end()
	c.load.Stop()
	c.nodes.close()
}

// Routes adds the controls. What is refused is told in plain JSON, {"error": "..."}: the
// problems of the API are documented for its clients.
func (c *Controls) Routes(r chi.Router, render *web.Renderer) {
	r.Use(c.guard)
	r.Get(ControlsPath+"state", render.Handle(c.state))
	r.Post(ControlsPath+"nodes/{node}/{verb}", render.Handle(c.verb))
	r.Post(ControlsPath+"load/start", render.Handle(c.shoppers(c.load.Start)))
	r.Post(ControlsPath+"load/stop", render.Handle(c.shoppers(c.load.Stop)))
}

// ControlsPath is what all paths of the controls begin with.
const ControlsPath = "/lab/control/"

// guard lets in who is on this machine, was not sent by a page of another origin, and
// has the key.
func (c *Controls) guard(next http.Handler) http.Handler {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = refused(w, http.StatusForbidden, "The link that the demo has printed has the key to this, and it works on the demo's own machine.")
	})
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(refuse)
	return origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) || !c.holds(r.Header.Get(KeyHeader)) {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// holds compares digests: the time tells nothing of how close a guess was.
func (c *Controls) holds(key string) bool {
	digest := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(digest[:], c.key[:]) == 1
}

// loopback reports whether an address, with or without a port, is this machine's own. Of
// names only localhost is: any other could be made to point here.
func loopback(addr string) bool {
	host := addr
	if parsed, err := netip.ParseAddrPort(addr); err == nil {
		return parsed.Addr().IsLoopback()
	}
	if name, port, ok := strings.Cut(addr, ":"); ok && !strings.Contains(port, ":") {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func refused(w http.ResponseWriter, status int, why string) error {
	w.Header().Set("Cache-Control", "no-store")
	return web.JSON(w, status, map[string]string{"error": why})
}

// State is what the page of a demo shows beside what the shop knows.
type State struct {
	Nodes    []NodeState `json:"nodes"`
	Shoppers LoadState   `json:"shoppers"`
}

func (c *Controls) state(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	return web.JSON(w, http.StatusOK, State{c.nodes.look(r.Context()), c.load.State()})
}

func (c *Controls) shoppers(do func()) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		do()
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// verbLimit is longer than any verb takes; a rejoin with a new base backup takes seconds.
const verbLimit = time.Minute

// verb goes on when the client leaves: half a rejoin is worse than none.
func (c *Controls) verb(w http.ResponseWriter, r *http.Request) error {
	node, err := c.cluster.Node(chi.URLParam(r, "node"))
	verb := c.verbs[chi.URLParam(r, "verb")]
	if err != nil || verb == nil {
		return refused(w, http.StatusNotFound, "There is no such server or no such verb.")
	}
	select {
	case c.queue <- struct{}{}:
		defer func() { <-c.queue }()
	default:
		return refused(w, http.StatusConflict, "Several of these are under way already.")
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(verbLimit + time.Second)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.life, verbLimit)
	defer cancel()
	c.log.Info("live page", "verb", chi.URLParam(r, "verb"), "node", node.Name())
	if err := verb(node, ctx); err != nil {
		return refused(w, http.StatusConflict, strings.TrimPrefix(err.Error(), "pgcluster: "))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
