package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"golang.org/x/text/unicode/norm"

	"example.com/leeway/internal/id"
)

// metacharacters mean something to SQL, LIKE, text search, arrays, JSON, regular
// expressions, HTML, paths or logs. A product of popularity -271828 was changed by one.
var metacharacters = []string{
	`'`, `''`, `\'`, `\`, `"`, `;`, `--`, `/*`, `$1`, `$$`, `%`, `_`, `' OR '1'='1`, `%' OR 1=1 --`,
	`'; UPDATE products SET popularity = -271828; --`, `$$; UPDATE products SET popularity = -271828; --`,
	`\'; UPDATE products SET popularity = -271828; --`, `x' UNION SELECT token_digest FROM shoppers --`,
	`*`, `:*`, `a & b | !c <-> (d`, `'a':*A`, `{}`, `{a,"b}`, `{"a":1}`, `[1`, `null`, `\x00`, `\u0000`, `%00`, `%s%n`, `{{.}}`,
	`(?i)(a+)+$`, `<script>alert(1)</script>`, `&lt;`, `../../etc/passwd`, `http://[`, `a,b`, `color:'red'`,
	"\ue000", "\u202egnp.exe", "ＳＥＬＥＣＴ＇", "ʼ", "😀", "ﬀ", "e\u0301",
}

// fullBodies have every text that their operations take; NEW is another word each time.
var fullBodies = map[string]string{
	"createCart": `{"items":[{"variant_id":"VARIANT","quantity":1}]}`, "addCartItem": `{"variant_id":"VARIANT","quantity":1}`,
	"checkout": `{"email":"ada@example.com","shipping_address":{"name":"Ada","line1":"1 Main St","line2":"left","city":"London","postal_code":"N1",
		"region":"Greater London","country":"GB"},"expected_total":{"amount":1,"currency":"EUR"}}`,
	"payOrder": `{"method":"test","outcome":"approved"}`, "cancelOrder": `{"reason":"none"}`,
	"createCategory": `{"name":"New","slug":"NEW","parent_id":"CATEGORY"}`, "changeCategory": `{"name":"New","slug":"NEW","parent_id":"CATEGORY"}`,
	"createProduct": `{"name":"New","slug":"NEW","description":"Bright.","category_id":"CATEGORY","options":[{"name":"color","values":["red"]}],"status":"active"}`,
	"changeProduct": `{"name":"New","slug":"NEW","description":"Bright.","category_id":"CATEGORY","options":[{"name":"color","values":["red","natural"]}],"status":"active"}`,
	"createVariant": `{"sku":"NEW","options":{"color":"red"},"price":{"amount":1,"currency":"EUR"}}`,
	"changeVariant": `{"sku":"NEW","options":{"color":"red"},"price":{"amount":1,"currency":"EUR"}}`,
	"adjustStock":   `{"delta":1,"reason":"delivery"}`, "moveOrder": `{"status":"shipped"}`,
}

// Whatever is written into any text of any operation is refused or kept as it is, and
// never executed: no answer is a 5xx or has a word of the database's, and what an answer
// repeats is what was sent, byte for byte.
func TestMetacharactersAreText(t *testing.T) {
	s := newBackOffice(t)
	me := s.newShopper(t, item(s.variant, "1"))
	if _, err := s.Admin(t, s.Primary()).Exec(t.Context(), "UPDATE variants SET stock_quantity = 100000 WHERE id = $1", s.variant); err != nil {
		t.Fatal(err)
	}
	before, tried, repeated := s.count(t, "true"), 0, 0
	for _, a := range me.oneOfEach(t) {
		w := &writer{shopper: me, ask: a}
		if a.admin {
			w.own = me.newStaff(t)
		}
		for name, p := range w.places(t) {
			for i, text := range metacharacters {
				if !p.free && i%7 > 0 { // an id, a number or a tag: parsed before it goes anywhere
					continue
				}
				got, ok := w.send(t, name, p.set, text)
				if tried++; !ok {
					continue
				}
				// What is searched for is composed (NFC), as names in the index are.
				if repeated++; got != text && got != norm.NFC.String(text) {
					t.Errorf("%s, %s = %q came back as %q", w.route, name, text, got)
				}
			}
		}
	}
	if t.Logf("%d texts, %d came back", tried, repeated); tried < 1500 || repeated < 500 {
		t.Error("the test reaches too little")
	}
	if n := s.count(t, "popularity = -271828"); n != 0 || s.count(t, "true") < before {
		t.Errorf("%d products were changed", n)
	}
}

func (s *shop) count(t *testing.T, condition string) (n int) {
	t.Helper()
	if err := s.Admin(t, s.Primary()).QueryRow(t.Context(), "SELECT count(*) FROM products WHERE "+condition).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A writer writes texts into the requests of one operation.
type writer struct {
	*shopper
	ask
	own staff
}

// A request is one that its operation answers with success, before a text is written
// into it.
type request struct {
	path    string
	query   url.Values
	headers map[string]string
	body    map[string]any
}

// A place is where a text is written; free if any text may be.
type place struct {
	set  func(*request, string)
	free bool
}

func newPlace(schema *openapi3.Schema, set func(*request, string)) place {
	if schema.Type.Is("array") {
		schema = schema.Items.Value
	}
	return place{set, schema.Type.Is("string") && schema.Format != "uuid" && len(schema.Enum) == 0}
}

// places are those of every text of the operation, by name.
func (w *writer) places(t *testing.T) map[string]place {
	t.Helper()
	places := map[string]place{}
	path, _, _ := strings.Cut(w.path, "?")
	item := theContract(t).doc.Paths.Value(strings.SplitN(w.route, " ", 2)[1])
	for _, ref := range slices.Concat(item.Parameters, w.op.Parameters) {
		switch p := ref.Value; p.In {
		case openapi3.ParameterInHeader:
			places["header "+p.Name] = place{func(r *request, text string) { r.headers[p.Name] = text }, p.Name == "Idempotency-Key"}
		case openapi3.ParameterInQuery:
			places["query "+p.Name] = newPlace(p.Schema.Value, func(r *request, text string) { r.query.Set(p.Name, text) })
		case openapi3.ParameterInPath:
			at := slices.Index(strings.Split(strings.SplitN(w.route, " ", 2)[1], "/"), "{"+p.Name+"}")
			places["path "+p.Name] = newPlace(p.Schema.Value, func(r *request, text string) {
				segments := strings.Split(path, "/")
				segments[at] = url.PathEscape(text)
				r.path = strings.Join(segments, "/")
			})
		}
	}
	if w.op.RequestBody != nil {
		w.bodyPlaces(t, places, "body", w.op.RequestBody.Value.Content.Get("application/json").Schema.Value,
			func(r *request) any { return r.body })
	}
	return places
}

// bodyPlaces finds the texts of a schema, and each of them in the full body.
func (w *writer) bodyPlaces(t *testing.T, places map[string]place, at string, schema *openapi3.Schema, find func(*request) any) {
	t.Helper()
	object := func(r *request) map[string]any { m, _ := find(r).(map[string]any); return m }
	full := object(w.request(t))
	for name := range full { // of an object whose names are free, the names as well
		if schema.Properties[name] == nil {
			places[at+" key"] = place{func(r *request, text string) { m := object(r); m[text] = m[name]; delete(m, name) }, true}
			places[at+"."+name] = place{func(r *request, text string) { object(r)[name] = text }, true}
		}
	}
	for name, ref := range schema.Properties {
		v, here := full[name], at+"."+name
		child := func(r *request) any { return object(r)[name] }
		if list, ok := v.([]any); ok && len(list) > 0 {
			if ref = ref.Value.Items; ref.Value.Type.Is("string") {
				places[here] = newPlace(ref.Value, func(r *request, text string) { object(r)[name] = []any{text} })
				continue
			}
			child = func(r *request) any { return object(r)[name].([]any)[0] }
		}
		switch {
		case ref.Value.Type.Is("object"):
			w.bodyPlaces(t, places, here, ref.Value, child)
		case ref.Value.Type.Is("string"):
			if v == nil {
				t.Errorf("fullBodies lacks %s of %s", here, w.op.OperationID)
			}
			places[here] = newPlace(ref.Value, func(r *request, text string) { object(r)[name] = text })
		}
	}
}

// request is a new one that may succeed, for an operation that ends something too.
func (w *writer) request(t *testing.T) *request {
	t.Helper()
	path, query, _ := strings.Cut(w.path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	r := &request{path: path, query: values, headers: map[string]string{"Idempotency-Key": id.New().String(), "If-Match": "*"}}
	if body := fullBodies[w.op.OperationID]; body != "" {
		body = strings.NewReplacer("NEW", id.New().String(), "CATEGORY", w.own.category, "VARIANT", w.variant).Replace(body)
		if err := json.Unmarshal([]byte(body), &r.body); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// renew gives the request something of its own to end.
func (w *writer) renew(t *testing.T, r *request) {
	t.Helper()
	switch w.op.OperationID {
	case "checkout":
		cart := w.do(t, "POST", "/v1/carts", `{"items":[`+item(w.variant, "1")+`]}`)
		r.path = "/v1/carts/" + cart.field("id") + "/checkout"
		delete(r.body, "expected_total")
	case "cancelOrder":
		bought := &shopper{shop: w.shop, auth: w.auth}
		bought.cart = "/v1/carts/" + bought.do(t, "POST", "/v1/carts", `{"items":[`+item(w.variant, "1")+`]}`).field("id")
		r.path = "/v1/orders/" + bought.checkout(t, id.New().String()).field("id") + "/cancel"
	case "createVariant":
		made := w.must(t, 201, "POST", "/v1/admin/products", `{"name":"Own","slug":"`+id.New().String()+`","category_id":"`+w.own.category+
			`","options":[{"name":"color","values":["red"]}]}`)
		r.path = "/v1/admin/products/" + made.field("id") + "/variants"
	}
}

// send returns what the answer has in the same place, if it succeeded and has.
func (w *writer) send(t *testing.T, place string, set func(*request, string), text string) (string, bool) {
	t.Helper()
	if strings.HasPrefix(place, "header ") && strings.ContainsFunc(text, func(c rune) bool { return c > '~' }) {
		return "", false // no client of Go's sends that
	}
	r := w.request(t)
	if !strings.HasPrefix(place, "path ") && !strings.HasPrefix(place, "body.expected_total") {
		w.renew(t, r)
	}
	set(r, text)
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			t.Fatal(err)
		}
		body = strings.NewReader(string(raw))
	}
	headers := []string{"Authorization", w.auth}
	base := w.url
	if w.admin {
		base, headers = w.back, []string{"X-API-Key", canaryAll}
	}
	for name, value := range r.headers {
		headers = append(headers, name, value)
	}
	a := send(t, w.method, base+r.path+"?"+r.query.Encode(), body, headers...)
	if a.status >= 500 || a.status == 0 {
		t.Errorf("%s, %s = %q: %d %s", w.route, place, text, a.status, a.body)
	}
	for _, word := range []string{"SQLSTATE", "ERROR", "syntax", "pgx", "tsquery", "127.0.0.1", "goroutine"} {
		if a.status >= 400 && strings.Contains(string(a.body), word) {
			t.Errorf("%s, %s = %q tells %q: %s", w.route, place, text, word, a.body)
		}
	}
	return repeated(a, place)
}

// repeated is the text that an answer has where the body of the request had it, or the
// search text.
func repeated(a answer, place string) (string, bool) {
	kind, name, _ := strings.Cut(strings.Replace(place, "body.", "body ", 1), " ")
	if a.status >= http.StatusMultipleChoices || kind != "body" && place != "query q" {
		return "", false
	}
	if place == "query q" {
		name = "query.q"
	}
	var v any
	_ = json.Unmarshal(a.body, &v)
	for part := range strings.SplitSeq(name, ".") {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		object, _ := v.(map[string]any)
		v = object[part]
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	text, ok := v.(string)
	return text, ok
}
