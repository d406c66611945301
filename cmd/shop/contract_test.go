package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/leeway/api"
)

// A contract is api/openapi.yaml, made strict: what it does not declare, no answer may
// have. To clients it stays open, so that a field can be added.
type contract struct {
	doc *openapi3.T
	mux *chi.Mux // finds the operation of a request

	admin sync.Map // the hosts that are admin listeners

	// one check at a time: 64 clients that all check would starve the shop, which
	// runs in the same process, until it takes its primary for dead.
	one sync.Mutex

	// right are the bodies that were found to be as declared. The same ones again, from
	// the same operation with the same status and header, would be found the same: the
	// tree of categories and the contract itself take longest, and do not change.
	right map[[sha256.Size]byte]bool // guarded by one
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`))
	openapi3.DefineStringFormatValidator("email", openapi3.NewCallbackValidator(func(s string) error {
		_, err := mail.ParseAddress(s)
		return err
	}))
	for _, kind := range []string{"text/html", "text/css", "text/javascript", "image/svg+xml", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	doc, err := openapi3.NewLoader().LoadFromData(api.YAML)
	if err != nil {
		return nil, err
	}
	c := &contract{doc: doc, mux: chi.NewMux(), right: map[[sha256.Size]byte]bool{}}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			c.mux.Method(method, path, http.NotFoundHandler())
		}
	}
	closed := map[*openapi3.Schema]bool{}
	for _, schema := range doc.Components.Schemas {
		closeSchema(schema.Value, closed)
	}
	return c, nil
})

func theContract(t testing.TB) *contract {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// closeSchema refuses what an object does not declare. An allOf becomes the one object
// that it stands for: its parts, each closed, would refuse each other's fields.
func closeSchema(s *openapi3.Schema, closed map[*openapi3.Schema]bool) {
	if closed[s] {
		return
	}
	closed[s] = true
	for _, part := range s.AllOf {
		closeSchema(part.Value, closed)
		s.Type = part.Value.Type
		s.Required = append(s.Required, part.Value.Required...)
		if s.Properties == nil {
			s.Properties = openapi3.Schemas{}
		}
		maps.Copy(s.Properties, part.Value.Properties)
	}
	s.AllOf = nil
	for _, property := range s.Properties {
		closeSchema(property.Value, closed)
	}
	if s.Items != nil {
		closeSchema(s.Items.Value, closed)
	}
	if s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
	}
}

// forAdmins: what has servers of its own is on the admin listener.
func forAdmins(item *openapi3.PathItem) bool { return len(item.Servers) > 0 }

// serveAdmins tells the contract, until the test ends, that host is an admin listener.
// The port may be that of another test's shop next.
func (c *contract) serveAdmins(t testing.TB, host string) {
	c.admin.Store(host, true)
	t.Cleanup(func() { c.admin.Delete(host) })
}

// find returns the operation of a request and its path in the contract; HEAD is that
// of GET. A nil operation is a path, or a method of it, that the contract lacks on
// the listener.
func (c *contract) find(admin bool, method, path string) (*openapi3.Operation, string, map[string]string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	at := chi.NewRouteContext()
	if !c.mux.Match(at, method, path) {
		return nil, "", nil
	}
	params := map[string]string{}
	for i, name := range at.URLParams.Keys {
		params[name] = at.URLParams.Values[i]
	}
	pattern := at.RoutePattern()
	item := c.doc.Paths.Value(pattern)
	if forAdmins(item) != admin {
		return nil, "", nil
	}
	return item.GetOperation(method), pattern, params
}

// declared returns what the contract says of an answer, nil for nothing.
func (c *contract) declared(admin bool, op *openapi3.Operation, status int) *openapi3.Response {
	if op == nil {
		responses := c.doc.Components.Responses
		switch {
		case status == http.StatusNotFound:
			return responses["NotFound"].Value
		case status == http.StatusMethodNotAllowed:
			return responses["MethodNotAllowed"].Value
		case admin && status == http.StatusUnauthorized:
			return responses["AdminUnauthorized"].Value
		case admin && status == http.StatusTooManyRequests:
			return responses["TooManyFailures"].Value
		case status == http.StatusTooManyRequests:
			return responses["RateLimited"].Value
		}
		return nil
	}
	if ref := op.Responses.Status(status); ref != nil {
		return ref.Value
	}
	return nil
}

// everywhere are the headers that info.description declares for every answer, and
// those of HTTP itself.
var everywhere = []string{
	"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy",
	"Content-Type", "Content-Length", "Date", "Connection", "Transfer-Encoding", "Traceparent",
}

// check fails the test when an answer is not as the contract declares it: another
// status, header, field, type or problem code.
func (c *contract) check(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	c.one.Lock()
	defer c.one.Unlock()
	_, admin := c.admin.Load(req.URL.Host)
	op, pattern, _ := c.find(admin, req.Method, req.URL.EscapedPath())
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("contract: %s %.100s: %d: "+format, append([]any{req.Method, req.URL.Path, a.status}, args...)...)
	}
	response := c.declared(admin, op, a.status)
	if response == nil {
		fail("the status is not declared; the answer is %.300s", a.body)
		return
	}
	for name := range a.header {
		if response.Headers[name] == nil && !hasFold(response.Headers, name) && !slices.Contains(everywhere, name) {
			fail("the header %s is not declared", name)
		}
	}
	if op == nil {
		op = &openapi3.Operation{Responses: openapi3.NewResponses(openapi3.WithStatus(a.status, &openapi3.ResponseRef{Value: response}))}
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req,
			Route:   &routers.Route{Spec: c.doc, Path: pattern, Method: req.Method, Operation: op},
		},
		Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			ExcludeResponseBody: req.Method == http.MethodHead || a.status == http.StatusNotModified,
		},
	}
	same := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %q %s", req.Method, pattern, a.status, a.header["Content-Type"], a.body))
	input.Options.ExcludeResponseBody = input.Options.ExcludeResponseBody || c.right[same]
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		fail("%v", err)
	} else {
		c.right[same] = true
	}
	if a.status < 400 && otherID.Match(a.body) {
		fail("an id is no UUIDv7 in %.300s", a.body)
	}
	if a.header.Get("Content-Type") == "text/event-stream" && req.Method != http.MethodHead {
		c.checkEvent(fail, a)
	}
	if a.status >= 400 && req.Method != http.MethodHead {
		c.checkCode(fail, response, a)
	}
}

// otherID is an id of ours that was not made by package id.
var otherID = regexp.MustCompile(`"id":"[0-9a-f]{8}-[0-9a-f]{4}-[^7]`)

func hasFold(headers openapi3.Headers, name string) bool {
	for declared := range headers {
		if strings.EqualFold(declared, name) {
			return true
		}
	}
	return false
}

// checkEvent: what a stream sends is what GET /v1/replication answers.
func (c *contract) checkEvent(fail func(string, ...any), a answer) {
	var event any
	if err := json.Unmarshal([]byte(a.data()), &event); err != nil {
		fail("%v in %s", err, a.body)
	} else if err := c.doc.Components.Schemas["Replication"].Value.VisitJSON(event, openapi3.MultiErrors()); err != nil {
		fail("%v", err)
	}
}

// checkCode: the code is one that the operation declares with this status, and the
// page of the problem agrees.
func (c *contract) checkCode(fail func(string, ...any), response *openapi3.Response, a answer) {
	code := a.field("code")
	codes, _ := response.Extensions["x-problem-codes"].([]any)
	if !slices.Contains(codes, any(code)) {
		fail("the code %s is not declared, only %v", code, codes)
	}
	problem, _ := c.doc.Extensions["x-problems"].(map[string]any)[code].(map[string]any)
	if status, _ := json.Marshal(problem["status"]); string(status) != a.field("status") {
		fail("%s has status %s in x-problems", code, status)
	}
}

// The routes of the program are the operations of the contract, no more and no less,
// on each of its two listeners.
func TestRoutesAreOperations(t *testing.T) {
	t.Parallel()
	var routes, operations []string
	s := &server{}
	for listener, handler := range map[string]http.Handler{"public": s.handler(), "admin": s.adminHandler()} {
		err := chi.Walk(handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			routes = append(routes, listener+" "+method+" "+route)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, item := range theContract(t).doc.Paths.Map() {
		listener := "public"
		if forAdmins(item) {
			listener = "admin"
		}
		for method, op := range item.Operations() {
			operations = append(operations, listener+" "+method+" "+path)
			if slices.Contains(op.Tags, "admin") != forAdmins(item) {
				t.Errorf("%s %s has the tags %v and is of the %s listener", method, path, op.Tags, listener)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(operations)
	if diff := cmp.Diff(operations, routes); diff != "" {
		t.Errorf("api/openapi.yaml (-) and the routes (+) differ:\n%s", diff)
	}
}

// What every operation must say, and each problem's page.
func TestTheContractIsComplete(t *testing.T) {
	t.Parallel()
	c := theContract(t)
	problems, _ := c.doc.Extensions["x-problems"].(map[string]any)
	used := map[string]bool{}
	note := func(where string, response *openapi3.Response) {
		codes, _ := response.Extensions["x-problem-codes"].([]any)
		if response.Content.Get("application/problem+json") != nil && len(codes) == 0 {
			t.Errorf("%s is a problem without x-problem-codes", where)
		}
		for _, code := range codes {
			used[code.(string)] = true
			if problems[code.(string)] == nil {
				t.Errorf("%s has the code %s, which is not in x-problems", where, code)
			}
		}
	}
	for name, response := range c.doc.Components.Responses {
		note(name, response.Value)
	}
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			at := method + " " + path
			if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
				t.Errorf("%s lacks an operationId, a summary, a description or its tag", at)
			}
			if !slices.Contains([]any{"bounded", "session", "primary", "none"}, op.Extensions["x-read-policy"]) {
				t.Errorf("%s has x-read-policy %v", at, op.Extensions["x-read-policy"])
			}
			for status, response := range op.Responses.Map() {
				note(at+" "+status, response.Value)
				if response.Value.Headers["X-Request-Id"] == nil {
					t.Errorf("%s %s does not declare X-Request-Id", at, status)
				}
			}
		}
	}
	for code := range problems {
		if !used[code] {
			t.Errorf("x-problems has %s, which no answer has", code)
		}
	}
}
