package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"pgregory.net/rapid"

	"example.com/leeway/internal/id"
)

// requestsEach is how many valid requests each operation gets, and how many broken
// ones. The seeds are fixed: a failure is there again the next time.
const requestsEach = 120

// A generated request is one that the contract allows, or one that breaks it in the
// one way that broken names.
type generated struct {
	path    string
	query   url.Values
	headers map[string]string
	body    any
	hasBody bool
	raw     string // instead of body
	broken  string
	// unseen: the contract forbids it in words, so that a validator cannot know.
	unseen bool
}

func (g generated) url() string {
	if len(g.query) == 0 {
		return g.path
	}
	return g.path + "?" + g.query.Encode()
}

func (g generated) reader() io.Reader {
	if !g.hasBody {
		return nil
	}
	if g.raw != "" {
		return strings.NewReader(g.raw)
	}
	text, _ := json.Marshal(g.body)
	return bytes.NewReader(text)
}

// What the contract allows is never answered 5xx, and never refused as malformed.
// What it forbids is never answered 2xx. And every answer is a declared one, which
// send sees to.
func TestGeneratedRequests(t *testing.T) {
	s := newBackOffice(t)
	// Enough for every order that is made here, and not for every one that is asked for.
	if _, err := s.Admin(t, s.Primary()).Exec(t.Context(), "UPDATE variants SET stock_quantity = 100000 WHERE id = $1", s.variant); err != nil {
		t.Fatal(err)
	}
	c := theContract(t)
	for _, path := range slices.Sorted(maps.Keys(c.doc.Paths.Map())) {
		for method, op := range c.doc.Paths.Value(path).Operations() {
			t.Run(method+" "+path, func(t *testing.T) { s.generate(t, c, method, path, op) })
		}
	}
}

func (s *shop) generate(t *testing.T, c *contract, method, path string, op *openapi3.Operation) {
	g := &generator{contract: c, path: path, item: c.doc.Paths.Value(path), op: op}
	valid := rapid.Custom(g.valid)
	broken := rapid.Custom(g.broken)
	succeeded := 0
	worlds := make([]known, requestsEach/8) // carts close and fill up
	for i := range worlds {
		worlds[i] = s.newShopper(t, item(s.variant, "1")).known(t, g)
	}
	s.CatchUp(t) // or a read without a token might not know them yet, and be right
	for seed := range requestsEach {
		g.known = worlds[seed/8]
		good := valid.Example(seed)
		a := s.try(t, g, method, good)
		if a.status < 400 {
			succeeded++
		}
		if a.status >= 500 || refusedAsMalformed(a) {
			t.Errorf("seed %d: valid %s %s %v %s: %d %s", seed, method, good.url(), good.headers, bodyText(good), a.status, a.body)
		}
		bad := broken.Example(seed)
		if bad.broken == "" {
			continue // nothing about this operation can be wrong
		}
		if a := s.try(t, g, method, bad); a.status < 400 || a.status >= 500 {
			t.Errorf("seed %d: %s, %s %s %v %s: %d %s, want 4xx", seed, bad.broken, method, bad.url(), bad.headers, bodyText(bad), a.status, a.body)
		}
	}
	if succeeded < requestsEach/20 {
		t.Errorf("%d of %d valid requests succeeded: the generator reaches nothing", succeeded, requestsEach)
	}
}

func bodyText(g generated) string {
	if !g.hasBody {
		return ""
	}
	text, _ := io.ReadAll(g.reader())
	return string(text[:min(len(text), 500)])
}

// refusedAsMalformed: these codes, of a problem or of one of its places, say that the
// request is not of the documented form. Others are about what the form cannot say: a
// country that is not assigned, a minimum above its maximum.
func refusedAsMalformed(a answer) bool {
	var problem struct {
		Code   string
		Errors []struct{ Code string }
	}
	if a.status < 400 || json.Unmarshal(a.body, &problem) != nil {
		return false
	}
	codes := []string{problem.Code}
	for _, e := range problem.Errors {
		codes = append(codes, e.Code)
	}
	return slices.ContainsFunc(codes, func(code string) bool {
		return slices.Contains([]string{
			"unknown_parameter", "malformed_json", "unknown_field", "duplicate_field", "wrong_type", "not_acceptable",
			"unsupported_media_type", "if_match_invalid", "idempotency_key_invalid", "idempotency_key_missing", "unauthorized",
			"too_long", "not_allowed", "invalid_boolean", "invalid_id", "invalid_text", "invalid_option", "invalid_email", "repeated",
		}, code)
	})
}

// try also asks the contract itself: a generator that does not make what it says
// would prove nothing.
func (s *shop) try(t *testing.T, g *generator, method string, r generated) answer {
	t.Helper()
	headers := []string{}
	for name, value := range r.headers {
		headers = append(headers, name, value)
	}
	if err := g.validate(method, r); (err == nil) != (r.broken == "") && !r.unseen {
		t.Errorf("the contract finds %q in %s %s %v %s, made to have %q", fmt.Sprint(err), method, r.url(), r.headers, bodyText(r), r.broken)
	}
	base := s.url
	if forAdmins(g.item) {
		base = s.back
	}
	return send(t, method, base+r.url(), r.reader(), headers...)
}

func (g *generator) validate(method string, r generated) error {
	req, err := http.NewRequest(method, "http://shop"+r.url(), r.reader())
	if err != nil {
		return err
	}
	if r.hasBody {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	_, _, params := g.contract.find(forAdmins(g.item), method, req.URL.EscapedPath())
	for name, value := range params {
		params[name], _ = url.PathUnescape(value)
	}
	return openapi3filter.ValidateRequest(req.Context(), &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params,
		Route: &routers.Route{Spec: g.contract.doc, Path: g.path, PathItem: g.item, Method: method, Operation: g.op},
		// A null is no value left out, so no default takes its place.
		Options: &openapi3filter.Options{SkipSettingDefaults: true, AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
			header := in.RequestValidationInput.Request.Header
			switch {
			case in.SecuritySchemeName == "adminKey" && header.Get("X-API-Key") != canaryAll:
				return in.NewError(fmt.Errorf("no admin's key"))
			case in.SecuritySchemeName == "shopperToken" && !bearer.MatchString(header.Get("Authorization")):
				return in.NewError(fmt.Errorf("no shopper's token"))
			}
			return nil
		}},
	})
}

var bearer = regexp.MustCompile(`^Bearer [A-Za-z0-9_-]{43}$`)

// known are values that exist, by the name of a parameter or field.
type known map[string][]string

func (me *shopper) known(t *testing.T, g *generator) known {
	t.Helper()
	if forAdmins(g.item) {
		own := me.newStaff(t)
		return known{
			"/v1/admin/categories id": {own.empty}, "/v1/admin/products id": {own.product}, "/v1/admin/variants id": {own.variant},
			"/v1/admin/orders id": {own.paid}, "category_id": {own.category}, "parent_id": {own.category}, "currency": {"EUR"}, "If-Match": {"*"},
		}
	}
	bought := &shopper{shop: me.shop, auth: me.auth}
	opened := bought.do(t, "POST", "/v1/carts", `{"items":[`+item(me.variant, "1")+`]}`)
	bought.cart = "/v1/carts/" + opened.field("id")
	order := bought.checkout(t, id.New().String())
	if order.status != 201 {
		t.Fatalf("checkout: %d %s", order.status, order.body)
	}
	return known{
		"/v1/carts id": {strings.TrimPrefix(me.cart, "/v1/carts/")}, "/v1/orders id": {order.field("id")},
		"/v1/products slug": {me.slug}, "/v1/categories slug": {me.category}, "variant_id": {me.variant}, "Authorization": {me.auth}, "Consistency-Token": {order.token()},
		"category": {me.category}, "/docs file": {"docs.css", "docs.js", "icon.svg"}, "/lab file": {"lab.css", "lab.js", "icon.svg"}, "code": {"not_found", "outcome_unknown"}, "currency": {"EUR"},
	}
}
