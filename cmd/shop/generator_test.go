package main

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"example.com/leeway/internal/id"
)

// A generator makes requests of one operation from what the contract says of it.
type generator struct {
	contract *contract
	path     string
	item     *openapi3.PathItem
	op       *openapi3.Operation
	known    known
}

// params are those of the operation and of its path.
func (g *generator) params() []*openapi3.Parameter {
	var all []*openapi3.Parameter
	for _, list := range []openapi3.Parameters{g.item.Parameters, g.op.Parameters} {
		for _, ref := range list {
			all = append(all, ref.Value)
		}
	}
	return all
}

func (g *generator) bodySchema() *openapi3.Schema {
	if g.op.RequestBody == nil {
		return nil
	}
	return g.op.RequestBody.Value.Content.Get("application/json").Schema.Value
}

// wants: the operation wants a token, or a key.
func (g *generator) wants(scheme string) bool {
	return g.op.Security != nil && slices.ContainsFunc(*g.op.Security, func(one openapi3.SecurityRequirement) bool {
		_, ok := one[scheme]
		return ok
	})
}

func (g *generator) valid(t *rapid.T) generated {
	r := generated{path: g.path, query: url.Values{}, headers: map[string]string{}}
	for _, p := range g.params() {
		if !p.Required && !rapid.Bool().Draw(t, "has "+p.Name) {
			continue
		}
		v := g.value(t, p.Schema.Value, p.Name)
		switch p.In {
		case openapi3.ParameterInPath:
			r.path = strings.Replace(r.path, "{"+p.Name+"}", url.PathEscape(text(v)), 1)
		case openapi3.ParameterInHeader:
			r.headers[p.Name] = text(v)
		default:
			r.addQuery(p, v)
		}
	}
	if g.wants("shopperToken") {
		r.headers["Authorization"] = g.known["Authorization"][0]
	}
	if g.wants("adminKey") { // always a good one: ten bad ones a minute shut the address out
		r.headers["X-API-Key"] = canaryAll
	}
	if schema := g.bodySchema(); schema != nil {
		r.hasBody, r.body = true, g.value(t, schema, "")
	}
	return r
}

func (r *generated) addQuery(p *openapi3.Parameter, v any) {
	list, isList := v.([]any)
	if !isList {
		r.query.Add(p.Name, text(v))
		return
	}
	var values []string
	for _, element := range list {
		values = append(values, text(element))
	}
	if p.Explode != nil && !*p.Explode {
		values = []string{strings.Join(values, ",")}
	}
	for _, value := range values {
		r.query.Add(p.Name, value)
	}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	panic("no parameter has this type")
}

// value makes a value of a schema. name is that of its parameter or field, for which
// there may be values that exist; without them everything would be 404.
func (g *generator) value(t *rapid.T, s *openapi3.Schema, name string) any {
	if s.Nullable && rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		return nil
	}
	switch {
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(t, name)
	case s.Type.Is("boolean"):
		return rapid.Bool().Draw(t, name)
	case s.Type.Is("integer"):
		return rapid.Int64Range(orElse(s.Min, 0), orElse(s.Max, 1e15)).Draw(t, name)
	case s.Type.Is("array"):
		return g.array(t, s, name)
	case s.Type.Is("object"):
		return g.object(t, s)
	}
	return g.text(t, s, name)
}

func orElse(bound *float64, otherwise int64) int64 {
	if bound == nil {
		return otherwise
	}
	return int64(*bound)
}

func (g *generator) array(t *rapid.T, s *openapi3.Schema, name string) any {
	most := 5
	if s.MaxItems != nil {
		most = min(most, int(*s.MaxItems))
	}
	values := []any{}
	for range rapid.IntRange(int(s.MinItems), most).Draw(t, "length") {
		v := g.value(t, s.Items.Value, name)
		if !s.UniqueItems && !named(values, v) || s.UniqueItems && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// named: one of the values has the name of v, which the contract forbids in words.
func named(values []any, v any) bool {
	object, _ := v.(map[string]any)
	return object["name"] != nil && slices.ContainsFunc(values, func(other any) bool {
		it, _ := other.(map[string]any)
		return it["name"] == object["name"]
	})
}

func (g *generator) object(t *rapid.T, s *openapi3.Schema) any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || rapid.Bool().Draw(t, "has "+name) {
			object[name] = g.value(t, s.Properties[name].Value, name)
		}
	}
	return object
}

func (g *generator) text(t *rapid.T, s *openapi3.Schema, name string) string {
	collection, _, _ := strings.Cut(g.path, "/{")
	exists := slices.Concat(g.known[name], g.known[collection+" "+name])
	if len(exists) > 0 && rapid.IntRange(0, 3).Draw(t, "exists") > 0 {
		return rapid.SampledFrom(exists).Draw(t, name)
	}
	if example, ok := s.Example.(string); ok && s.Format != "uuid" && rapid.Bool().Draw(t, "example") {
		return example
	}
	switch {
	case s.Format == "uuid":
		return id.New().String()
	case s.Format == "email":
		return rapid.StringMatching(`[a-z0-9]{1,20}(\+[a-z]{1,9})?@[a-z0-9]{1,20}\.(com|museum)`).Draw(t, name)
	case s.Pattern != "":
		fits := func(v string) bool {
			n := len([]rune(v))
			return uint64(n) >= s.MinLength && (s.MaxLength == nil || uint64(n) <= *s.MaxLength)
		}
		return rapid.StringMatching(goPattern.Replace(s.Pattern)).Filter(fits).Draw(t, name)
	}
	// A header or a query takes it: no controls, and no blanks at the ends.
	printable := rapid.StringOfN(rapid.RuneFrom(nil, unicode.Letter, unicode.Digit, unicode.Punct), max(1, int(s.MinLength)), 60, -1)
	if slices.Contains([]string{"Consistency-Token", "If-None-Match", "Last-Event-ID", "file"}, name) {
		printable = rapid.StringMatching(`[A-Za-z0-9_"-]{1,60}`)
	}
	return printable.Draw(t, name)
}

// goPattern writes the escapes of a contract, which are JavaScript's, as Go does.
var goPattern = strings.NewReplacer(
	`\u0000`, `\x{0000}`, `\u0008`, `\x{0008}`, `\u000B`, `\x{000B}`, `\u000C`, `\x{000C}`, `\u000E`, `\x{000E}`, `\u001F`, `\x{001F}`, `\u007F`, `\x{007F}`, `\u009F`, `\x{009F}`)

// broken breaks a valid request in one way. Without a way, broken is "".
func (g *generator) broken(t *rapid.T) generated {
	r := g.valid(t)
	ways := g.ways(t, &r)
	if len(ways) == 0 {
		return r
	}
	r.broken = rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "way")
	ways[r.broken]()
	return r
}

// ways are the ways to break r, each with its name.
func (g *generator) ways(t *rapid.T, r *generated) map[string]func() {
	ways := map[string]func(){}
	for _, p := range g.params() {
		for what, v := range misfits(p.Schema.Value) {
			switch p.In {
			case openapi3.ParameterInPath:
				ways["path "+p.Name+" "+what] = func() { r.replaceSegment(g.path, p.Name, v) }
			case openapi3.ParameterInHeader:
				if p.Name != "X-Request-Id" { // replaced rather than refused
					ways["header "+p.Name+" "+what] = func() { r.headers[p.Name] = v }
				}
			default:
				ways["query "+p.Name+" "+what] = func() { r.query[p.Name] = []string{v} }
			}
		}
		switch {
		case p.In == openapi3.ParameterInQuery && !p.Schema.Value.Type.Is("array"):
			ways["query "+p.Name+" twice"] = func() { r.query[p.Name], r.unseen = append(r.query[p.Name], "1", "1"), true }
		case p.In == openapi3.ParameterInQuery && p.Schema.Value.MaxItems != nil && (p.Explode == nil || *p.Explode):
			ways["query "+p.Name+" too often"] = func() {
				for range *p.Schema.Value.MaxItems + 1 {
					r.addQuery(p, g.value(t, p.Schema.Value.Items.Value, p.Name))
				}
			}
		}
		if p.Required && p.In == openapi3.ParameterInQuery {
			ways["query "+p.Name+" missing"] = func() { r.query.Del(p.Name) }
		}
		if p.Required && p.In == openapi3.ParameterInHeader {
			ways["header "+p.Name+" missing"] = func() { delete(r.headers, p.Name) }
		}
	}
	if g.op.Responses.Status(400) != nil {
		ways["unknown parameter"] = func() { r.query.Set("surprise", "1"); r.unseen = true }
	}
	if g.op.Responses.Status(406) != nil {
		ways["accepts no JSON"] = func() { r.headers["Accept"], r.unseen = "text/html", true }
	}
	if g.wants("shopperToken") {
		ways["another's token"] = func() { r.headers["Authorization"], r.unseen = "Bearer "+strings.Repeat("A", 43), true }
		optional := slices.ContainsFunc(*g.op.Security, func(one openapi3.SecurityRequirement) bool { return len(one) == 0 })
		ways["no token's form"] = func() { r.headers["Authorization"], r.unseen = "Bearer x", optional }
	}
	if schema := g.bodySchema(); schema != nil {
		g.bodyWays(ways, r, schema)
	}
	return ways
}

func (r *generated) replaceSegment(pattern, name, v string) {
	segments, names := strings.Split(r.path, "/"), strings.Split(pattern, "/")
	segments[slices.Index(names, "{"+name+"}")] = url.PathEscape(v)
	r.path = strings.Join(segments, "/")
}

// misfits are texts that a parameter cannot have.
func misfits(s *openapi3.Schema) map[string]string {
	bad := map[string]string{}
	switch {
	case s.Type.Is("array"):
		return misfits(s.Items.Value)
	case s.Type.Is("integer"):
		bad["no number"], bad["a fraction"] = "x", "1.5"
		bad["too small"] = strconv.FormatInt(orElse(s.Min, 0)-1, 10)
		bad["too large"] = strconv.FormatInt(orElse(s.Max, 0)+1, 10)
	case s.Type.Is("boolean"):
		bad["no boolean"] = "maybe"
	case len(s.Enum) > 0:
		bad["not one of them"] = "something"
	case s.Format == "uuid":
		bad["no id"] = "x"
	case s.MaxLength != nil:
		bad["too long"] = strings.Repeat("x", int(*s.MaxLength)+1)
	}
	if s.Pattern != "" && len(s.Enum) == 0 && !strings.Contains(s.Pattern, "]*$") {
		bad["of another form"] = "No Such~"
		if strings.Contains(s.Pattern, "!-~") {
			bad["of another form"] = "k\u00e9y"
		}
	}
	return bad
}

func (g *generator) bodyWays(ways map[string]func(), r *generated, schema *openapi3.Schema) {
	ways["body cut"] = func() { r.raw = `{"items":` }
	ways["body twice"] = func() { r.raw, r.unseen = `{} {}`, true }
	ways["body an array"] = func() { r.raw = `[]` }
	ways["body null"] = func() { r.raw = `null` }
	ways["body in another type"] = func() { r.headers["Content-Type"] = "text/plain" }
	ways["body too large"] = func() { r.raw, r.unseen = "{"+strings.Repeat(" ", 64<<10)+"}", true }
	body, _ := r.body.(map[string]any)
	objectWays(ways, "body", schema, body)
}

// objectWays break an object in place.
func objectWays(ways map[string]func(), at string, schema *openapi3.Schema, object map[string]any) {
	ways[at+" unknown field"] = func() { object["surprise"] = 1 }
	for name, ref := range schema.Properties {
		s, here := ref.Value, at+"."+name
		set := func(what string, v any) { ways[here+" "+what] = func() { object[name] = v } }
		if slices.Contains(schema.Required, name) {
			ways[here+" missing"] = func() { delete(object, name) }
		}
		if !s.Nullable {
			set("null", nil)
		}
		set("of another type", map[string]any{"x": 1})
		switch {
		case s.Type.Is("object"):
			set("of another type", "x")
			if inner, ok := object[name].(map[string]any); ok {
				objectWays(ways, here, s, inner)
			}
		case s.Type.Is("integer"):
			set("too small", orElse(s.Min, 0)-1)
			set("a fraction", 1.5)
			set("a text", "1")
			if s.Max != nil {
				set("too large", int64(*s.Max)+1)
			}
		case s.Type.Is("array"):
			set("with something else", []any{1})
			if list, ok := object[name].([]any); ok && len(list) > 0 {
				if inner, ok := list[0].(map[string]any); ok {
					objectWays(ways, here+".0", s.Items.Value, inner)
				}
			}
		default:
			for what, v := range misfits(s) {
				set(what, v)
			}
			if s.MinLength > 0 {
				set("empty", "")
			}
		}
	}
}
