package shoppers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/checker"
)

// A Caller is one client: it sends a request to any instance, whichever comes, and
// carries its session's tokens from one to the other. It is used by one goroutine.
type Caller struct {
	crowd   *Crowd
	id      int
	session string
	auth    string // of the shopper; empty until the first cart
	tokens  *jar
	rand    *rand.Rand
	only    *App // ask this instance alone
}

// A jar holds the tokens of a session as a browser holds its cookies: an answer
// replaces those that were sent with its request, and no other that came meanwhile.
type jar struct {
	mu     sync.Mutex
	tokens []string
}

func (j *jar) get() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.tokens)
}

func (j *jar) replace(sent []string, token string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tokens = slices.DeleteFunc(j.tokens, func(old string) bool { return old == token || slices.Contains(sent, old) })
	j.tokens = append(j.tokens, token)
}

// A request is what a caller sends; op says how it is recorded.
type request struct {
	method, path string
	body         any
	key          string
	op           checker.Op
}

// send does one request and records it, answer and all.
func (c *Caller) send(ctx context.Context, r request) checker.Op {
	op := r.op
	app := c.only
	if app == nil {
		app = c.crowd.Apps[c.rand.IntN(len(c.crowd.Apps))]
	}
	op.Client, op.Session, op.App, op.Key = c.id, c.session, app.Name, r.key
	tokens := c.tokens.get()
	op.TokenIn = c.position(tokens)
	ctx, cancel := context.WithTimeout(ctx, c.crowd.ClientPatience)
	defer cancel()
	req, err := c.newRequest(ctx, app, r, tokens)
	if err != nil {
		panic(err) // our own mistake
	}
	c.crowd.Record.begin(&op)
	res, err := c.crowd.http.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	op.Return = c.crowd.Record.Now()
	switch {
	case err != nil && neverSent(err):
		op.Outcome = checker.Failed
		return op // and no operation
	case err != nil:
		op.Outcome = checker.Unknown
	default:
		c.take(&op, res, body, tokens)
	}
	c.crowd.Record.end(op)
	return op
}

func (c *Caller) newRequest(ctx context.Context, app *App, r request, tokens []string) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, app.URL()+r.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.auth != "" {
		req.Header.Set("Authorization", "Bearer "+c.auth)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	for _, token := range tokens {
		req.Header.Add(fresh.TokenHeader, token)
	}
	return req, nil
}

// neverSent: the instance is gone. Of every other error nothing is known.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// take reads an answer into the record and the session.
func (c *Caller) take(op *checker.Op, res *http.Response, body []byte, sent []string) {
	op.Status, op.Replayed = res.StatusCode, res.Header.Get("Idempotent-Replayed") != ""
	op.Source = parseSource(res.Header.Get(fresh.SourceHeader))
	if token := res.Header.Get(fresh.TokenHeader); token != "" {
		op.TokenOut = c.position([]string{token})
		c.tokens.replace(sent, token)
	}
	switch {
	case res.StatusCode < 300:
		op.Outcome = checker.OK
		if cart := read(op, body); cart.ShopperToken != "" {
			c.auth = cart.ShopperToken
		}
	default:
		op.Code = problemOf(body, op)
		op.Outcome = checker.Failed
		if op.Code == "outcome_unknown" || res.StatusCode == http.StatusInternalServerError {
			op.Outcome = checker.Unknown // a 500 says nothing, so nothing is concluded from it
		}
	}
}

// position merges the tokens: what the shop must be at to answer.
func (c *Caller) position(tokens []string) checker.Position {
	var merged fresh.Position
	for _, token := range tokens {
		if pos, err := c.crowd.keys.Open(token); err == nil {
			merged = merged.Merge(pos)
		}
	}
	return checker.Position{Timeline: merged.Timeline, LSN: uint64(merged.LSN)}
}

// parseSource reads a Data-Source header.
func parseSource(text string) *checker.Source {
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ";")
	s := &checker.Source{Primary: parts[0] == "primary", Bound: -1}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "name":
			s.Node, _ = strconv.Unquote(value)
		case "bound-ms":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				s.Bound = time.Duration(ms) * time.Millisecond
			}
		case "stale":
			s.Stale = true
		case "reason":
			s.Reason = value
		}
	}
	return s
}
