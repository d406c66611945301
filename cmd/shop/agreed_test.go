package main

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// An agreement is one line of the interface as clients were promised it. The contract
// may say more, and never less.
//
// Words of takes: ?limit is a query parameter, If-Match a header, quantity a field of
// the body; ! is required, :1..100 its bounds, =a|b what it can be. Words of gives: a
// status and its headers. Words of fields: what its body always has, or with ? may have;
// one that ends with a dot goes before those behind it, and a lone dot ends that. Words
// of refuses: a status, or the code of a problem.
type agreement struct{ operation, policy, takes, gives, fields, refuses string }

const (
	categoryFields = "id slug name path position product_count children "
	summaryFields  = "id slug name price_range.min price_range.max in_stock category created_at "
	pageFields     = ". page.limit page.next_cursor "
	cartFields     = "id status=open|ordered|expired version subtotal.amount subtotal.currency warnings " +
		"items. variant_id product_slug name quantity unit_price line_total availability=in_stock|low|out price_changed "
	orderSummary = "id number status=pending_payment|paid|shipped|delivered|cancelled|expired totals expires_at version "
	orderFields  = orderSummary + "shipping_address items. variant_id name quantity unit_price line_total . history. at from to reason "
	listFilters  = "?category ?price_min ?price_max ?in_stock ?option ?limit:1..100 ?cursor "
	replication  = "verdict=good|warning|critical budgets counters reads primary. name timeline flush_lsn . sync.mode sync.standbys " +
		"replicas. name state=streaming|lagging|detached|down|foreign sync_state? replay_lsn? lag_bytes bound_ms fully_synced "
)

var agreed = []agreement{
	{"GET /v1/categories", "bounded", "?depth If-None-Match", "200 ETag Cache-Control", "data. " + categoryFields, "304"},
	{"GET /v1/categories/{slug}", "bounded", "If-None-Match", "200 ETag", categoryFields + "breadcrumbs. slug name", "304 404"},
	{"GET /v1/products", "bounded", listFilters + "?sort=-created_at|price|-price|name", "200 Link", "data. " + summaryFields + pageFields, "400 invalid_cursor"},
	{"GET /v1/products/{slug}", "bounded", "If-None-Match", "200 ETag", summaryFields + "description version updated_at options.name options.values " +
		"variants. id sku options price availability=in_stock|low|out", "304 404"},
	{"GET /v1/availability", "session", "?variant_id!:1..50", "200 Cache-Control", "data. variant_id status=in_stock|low|out available:0..99", "400"},
	{"GET /v1/search", "bounded", listFilters + "?q!:1..100 ?facets", "200 Link", "data.product. " + summaryFields + ". data.score data.highlight " +
		"facets. name kind capped values.value values.label values.count values.selected . query. q mode=exact|prefix|fuzzy suggestion " + pageFields, "400 invalid_cursor"},
	{"GET /v1/search/suggest", "bounded", "?q:..100 ?limit:1..10", "200", "data:..10 data. text kind slug", "400"},
	{"POST /v1/carts", "primary", "items:..100 items.variant_id! items.quantity!:1..999", "201 Location ETag", cartFields + ". shopper_token?", "422 variant_unavailable"},
	{"GET /v1/carts/{id}", "session", "", "200 ETag", cartFields, "401 404"},
	{"POST /v1/carts/{id}/items", "primary", "variant_id! quantity!:1..999 Idempotency-Key If-Match", "200 ETag Idempotent-Replayed?", cartFields, "404 cart_closed 412 422"},
	{"PUT /v1/carts/{id}/items/{variant_id}", "primary", "quantity!:0..999 If-Match", "200 ETag", cartFields, "404 cart_closed 412 422"},
	{"DELETE /v1/carts/{id}/items/{variant_id}", "primary", "If-Match", "200 ETag", cartFields, "404 cart_closed 412"},
	{
		"POST /v1/carts/{id}/checkout", "primary", "Idempotency-Key!:1..255 If-Match email! shipping_address! expected_total", "201 Location ETag Idempotent-Replayed?", orderFields,
		"idempotency_key_missing idempotency_in_progress insufficient_stock price_changed cart_closed idempotency_key_reused cart_empty 412 " +
			"primary_unavailable no_synchronous_standby outcome_unknown",
	},
	{"POST /v1/orders/{id}/payments", "primary", "Idempotency-Key! method!=test outcome", "200 ETag Idempotent-Replayed?", orderFields, "idempotency_key_missing payment_declined order_expired"},
	{"GET /v1/orders", "session", "?status=pending_payment|paid|shipped|delivered|cancelled|expired ?limit:1..100 ?cursor", "200 Link", "data. " + orderSummary + pageFields, "401 invalid_cursor"},
	{"GET /v1/orders/{id}", "session", "If-None-Match", "200 ETag", orderFields, "304 401 404"},
	{"POST /v1/orders/{id}/cancel", "primary", "reason If-Match", "200 ETag", orderFields, "order_not_cancellable 412"},

	{"POST /v1/admin/categories", "primary", "name! slug! parent_id position", "201 Location ETag", "id name slug parent_id position version", "slug_taken"},
	{"PATCH /v1/admin/categories/{id}", "primary", "If-Match! name slug parent_id position", "200 ETag", "id name slug parent_id position version", "slug_taken category_cycle 404 412 428"},
	{"DELETE /v1/admin/categories/{id}", "primary", "If-Match!", "204", "", "category_not_empty 404 412 428"},
	{
		"POST /v1/admin/products", "primary", "name! slug! category_id! description options status=draft|active|archived", "201 Location ETag",
		"id name slug description category_id options version status=draft|active|archived", "slug_taken 422",
	},
	{"GET /v1/admin/products/{id}", "session", "", "200 ETag", "id name slug description category_id options version status=draft|active|archived", "404"},
	{
		"PATCH /v1/admin/products/{id}", "primary", "If-Match! name slug category_id description options status=draft|active|archived", "200 ETag",
		"id name slug description category_id options version status=draft|active|archived", "slug_taken 404 412 422 428",
	},
	{"DELETE /v1/admin/products/{id}", "primary", "If-Match!", "204", "", "404 412 428"},
	{"POST /v1/admin/products/{id}/variants", "primary", "sku! price! options active", "201 Location ETag", "id sku options price active version", "sku_taken 404"},
	{"PATCH /v1/admin/variants/{id}", "primary", "If-Match! sku price options active", "200 ETag", "id sku options price active version", "sku_taken 404 412 428"},
	{
		"POST /v1/admin/variants/{id}/stock-adjustments", "primary", "Idempotency-Key! delta! reason! expected_stock", "201 Idempotent-Replayed?", "id before after",
		"idempotency_key_missing stock_conflict insufficient_stock 404",
	},
	{"GET /v1/admin/variants/{id}/stock-movements", "session", "?limit:1..100 ?cursor", "200 Link", "data. id kind delta before after reason order_id " + pageFields, "404 invalid_cursor"},
	{"GET /v1/admin/orders", "session", "?status ?limit:1..100 ?cursor", "200 Link", "data. " + orderSummary + pageFields, "invalid_cursor"},
	{"PATCH /v1/admin/orders/{id}", "primary", "If-Match! status!=shipped|delivered", "200 ETag", orderFields, "invalid_transition 404 412 428"},

	{"GET /v1/replication", "none", "", "200", replication, ""},
	{"GET /healthz", "none", "", "200", "status=live", ""},
	{"GET /readyz", "none", "", "200", "status=ready|degraded", "503"},
	{"GET /openapi.yaml", "none", "", "200", "", ""},
	{"GET /openapi.json", "none", "", "200", "", ""},
	{"GET /docs", "none", "", "200", "", ""},
	{"GET /v1/replication/events", "none", "", "200", "", ""},
	{"GET /lab", "none", "", "200", "", ""},
}

// unasked are the operations that nobody was promised.
var unasked = []string{"GET /docs/{file}", "GET /lab/{file}", "GET /problems", "GET /problems/{code}"}

// Everything that was agreed is in the contract, which the program is held to
// elsewhere: each answer of these tests is checked against it.
func TestEveryAgreementIsInTheContract(t *testing.T) {
	t.Parallel()
	c := theContract(t)
	rest := slices.Clone(unasked)
	for _, line := range agreed {
		method, path, _ := strings.Cut(line.operation, " ")
		rest = append(rest, line.operation)
		item := c.doc.Paths.Value(path)
		if item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s is not in the contract", line.operation)
			continue
		}
		a := agreedOperation{t, line, &generator{contract: c, path: path, item: item, op: item.GetOperation(method)}}
		a.check()
	}
	problem := c.doc.Components.Schemas["Problem"].Value
	for text := range strings.FieldsSeq("type title status detail? instance code request_id errors? errors.pointer errors.code errors.detail lines? total?") {
		name, optional := strings.CutSuffix(text, "?")
		if found, must := property(problem, name); found == nil || must == optional {
			t.Errorf("a problem does not say %s", text)
		}
	}
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			if !slices.Contains(rest, method+" "+path) {
				t.Errorf("%s %s was not agreed upon: add it to agreed, or to unasked", method, path)
			}
		}
	}
}

type agreedOperation struct {
	*testing.T
	agreement
	*generator
}

// fail says which word of the agreement the contract lacks.
func (a agreedOperation) fail(word string) {
	a.Helper()
	a.Errorf("%s: the contract does not say %q", a.operation, word)
}

func (a agreedOperation) check() {
	a.Helper()
	if got := a.op.Extensions["x-read-policy"]; got != a.policy {
		a.Errorf("%s: policy %v, want %s", a.operation, got, a.policy)
	}
	for word := range strings.FieldsSeq(a.takes) {
		a.checkTaken(word)
	}
	success := a.checkGiven(strings.Fields(a.gives))
	if a.fields != "" && success != nil {
		a.checkFields(success.Content.Get("application/json").Schema.Value)
	}
	for word := range strings.FieldsSeq(a.refuses) {
		a.checkRefused(word)
	}
	if success != nil {
		a.checkCommon(success)
	}
}

// word is a name with what is said of it, see agreement.
var word = regexp.MustCompile(`^(\??[A-Za-z_.-]+)([!?]?)(?::(\d*)\.\.(\d+))?(?:=(.+))?$`)

func (a agreedOperation) checkTaken(text string) {
	a.Helper()
	m := word.FindStringSubmatch(text)
	name, required := m[1], m[2] == "!"
	var schema *openapi3.Schema
	for _, p := range a.params() {
		if p.In == "query" && "?"+p.Name == name || p.In == "header" && p.Name == name {
			schema, required = p.Schema.Value, required == p.Required
		}
	}
	if body := a.bodySchema(); schema == nil && body != nil {
		var must bool
		schema, must = property(body, name)
		required = required == must
	}
	if schema == nil || !required || !says(schema, m) {
		a.fail(text)
	}
}

// checkGiven returns the answer of success.
func (a agreedOperation) checkGiven(words []string) *openapi3.Response {
	a.Helper()
	status, _ := strconv.Atoi(words[0])
	ref := a.op.Responses.Status(status)
	if ref == nil {
		a.fail(words[0])
		return nil
	}
	for _, name := range words[1:] {
		header := ref.Value.Headers[strings.TrimSuffix(name, "?")]
		if header == nil || !header.Value.Required && name != "Link" && !strings.HasSuffix(name, "?") {
			a.fail(name)
		}
	}
	return ref.Value
}

func (a agreedOperation) checkFields(body *openapi3.Schema) {
	a.Helper()
	prefix := ""
	for text := range strings.FieldsSeq(a.fields) {
		if strings.HasSuffix(text, ".") {
			prefix = strings.TrimPrefix(text, ".")
			continue
		}
		m := word.FindStringSubmatch(text)
		schema, required := property(body, prefix+m[1])
		if schema == nil || required == (m[2] == "?") || !says(schema, m) {
			a.fail(prefix + text)
		}
	}
}

// checkRefused looks for a status, or for a code under the status that it has.
func (a agreedOperation) checkRefused(text string) {
	a.Helper()
	status, err := strconv.Atoi(text)
	if err == nil {
		if a.op.Responses.Status(status) == nil {
			a.fail(text)
		}
		return
	}
	for _, response := range a.op.Responses.Map() {
		codes, _ := response.Value.Extensions["x-problem-codes"].([]any)
		if slices.Contains(codes, any(text)) {
			return
		}
	}
	a.fail(text)
}

// checkCommon is what was agreed for every operation, or for all of a kind.
func (a agreedOperation) checkCommon(success *openapi3.Response) {
	a.Helper()
	has := func(status int, headers ...string) {
		a.Helper()
		ref := a.op.Responses.Status(status)
		if ref == nil {
			a.fail(strconv.Itoa(status))
			return
		}
		for _, name := range append(headers, "X-Request-Id") {
			if ref.Value.Headers[name] == nil {
				a.fail(strconv.Itoa(status) + " with " + name)
			}
		}
	}
	has(http.StatusInternalServerError)
	if a.policy == "none" {
		return
	}
	names := []string{}
	for _, p := range a.params() {
		names = append(names, p.Name)
	}
	for _, name := range []string{"Consistency-Token", "X-Request-Id"} {
		if !slices.Contains(names, name) {
			a.fail(name)
		}
	}
	if token := success.Headers["Consistency-Token"]; success.Headers["Data-Source"] == nil || token == nil || a.policy != "bounded" && !token.Value.Required {
		a.fail("Data-Source and Consistency-Token")
	}
	has(http.StatusBadRequest)
	has(http.StatusNotAcceptable)
	has(http.StatusServiceUnavailable, "Retry-After")
	has(http.StatusGatewayTimeout)
	if a.bodySchema() != nil {
		has(http.StatusRequestEntityTooLarge)
		has(http.StatusUnsupportedMediaType)
		has(http.StatusUnprocessableEntity)
	}
	if strings.Contains(a.path, "{") {
		has(http.StatusNotFound)
	}
	if a.wants("shopperToken") || a.wants("adminKey") {
		has(http.StatusUnauthorized, "WWW-Authenticate")
	}
	if a.wants("adminKey") != strings.HasPrefix(a.path, "/v1/admin/") || a.wants("adminKey") != forAdmins(a.item) {
		a.fail("an admin key, on the admin listener")
	}
	if a.wants("adminKey") {
		has(http.StatusForbidden)
		has(http.StatusTooManyRequests, "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
	}
}

// property follows a path of names through objects and lists. must is whether the last
// one is required where it is.
func property(s *openapi3.Schema, path string) (found *openapi3.Schema, must bool) {
	for name := range strings.SplitSeq(path, ".") {
		for s.Items != nil {
			s = s.Items.Value
		}
		for _, part := range s.AllOf { // closeSchema has made one of those that have a name
			if part.Value.Properties[name] != nil {
				s = part.Value
			}
		}
		if s.Properties[name] == nil {
			return nil, false
		}
		s, must = s.Properties[name].Value, slices.Contains(s.Required, name)
	}
	return s, must
}

// says compares the bounds and the values of a word with a schema: those of a number,
// the length of a list or a text.
func says(s *openapi3.Schema, m []string) bool {
	if m[5] != "" {
		for value := range strings.SplitSeq(m[5], "|") {
			if !slices.Contains(s.Enum, any(value)) {
				return false
			}
		}
	}
	if m[4] == "" {
		return true
	}
	least, _ := strconv.ParseUint(m[3], 10, 32)
	most, _ := strconv.ParseUint(m[4], 10, 32)
	switch {
	case s.Type.Is("array"):
		return s.MinItems == least && s.MaxItems != nil && *s.MaxItems == most
	case s.Type.Is("string"):
		return s.MinLength == least && s.MaxLength != nil && *s.MaxLength == most
	}
	return s.Min != nil && *s.Min == float64(least) && s.Max != nil && *s.Max == float64(most)
}
