package load

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const tokenHeader = "Consistency-Token"

// client sends requests and reads no more of an answer than it must.
type client struct {
	http *http.Client
	base string
}

func newClient(base string, connections int) *client {
	return &client{base: strings.TrimSuffix(base, "/"), http: &http.Client{
		Timeout: 30 * time.Second, // more than a request may take; see SHOP_REQUEST_TIMEOUT
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: connections, MaxIdleConns: connections, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
	}}
}

// request is one request; body is JSON, and into takes the answer's if it succeeds.
type request struct {
	op, method, path string
	body             string
	bearer, key      string // Authorization, and Idempotency-Key
	token            string // Consistency-Token
	apiKey           string
	into             any
}

// answer is what is known of an answer. Status 0: there was none.
type answer struct {
	status   int
	code     string // of a problem
	token    string
	source   string
	replayed bool
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (c *client) send(ctx context.Context, q request) answer {
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, body)
	if err != nil {
		return answer{}
	}
	if q.body != "" {
		r.Header["Content-Type"] = []string{"application/json"}
	}
	for name, value := range map[string]string{"Idempotency-Key": q.key, tokenHeader: q.token, "X-Api-Key": q.apiKey} {
		if value != "" {
			r.Header[name] = []string{value}
		}
	}
	if q.bearer != "" {
		r.Header["Authorization"] = []string{"Bearer " + q.bearer}
	}
	w, err := c.http.Do(r)
	if err != nil {
		return answer{}
	}
	defer w.Body.Close()
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(w.Body); err != nil {
		return answer{}
	}
	a := answer{
		status: w.StatusCode, token: w.Header.Get(tokenHeader), source: sourceOf(w.Header.Get("Data-Source")),
		replayed: w.Header.Get("Idempotent-Replayed") == "true",
	}
	switch {
	case a.status >= 400:
		var problem struct{ Code string }
		_ = json.Unmarshal(buffer.Bytes(), &problem) // what is no problem document has no code
		a.code = problem.Code
	case q.into != nil:
		if err := json.Unmarshal(buffer.Bytes(), q.into); err != nil {
			return answer{}
		}
	}
	return a
}

// sourceOf shortens a Data-Source to what is counted: replica, stale, or primary with
// its reason. Replicas differ only in their names and bounds.
func sourceOf(header string) string {
	source, rest, _ := strings.Cut(header, ";")
	var reason string
	for parameter := range strings.SplitSeq(rest, ";") {
		if name, value, ok := strings.Cut(parameter, "="); ok && name == "reason" {
			reason = value
		} else if parameter == "stale" {
			source = "stale"
		}
	}
	if reason != "" {
		return source + " " + reason
	}
	return source
}

func answerName(status int, code string) string {
	if code == "" {
		return strconv.Itoa(status)
	}
	return strconv.Itoa(status) + " " + code
}
