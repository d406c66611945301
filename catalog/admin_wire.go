package catalog

import (
	"net/http"
	"strconv"
	"strings"

	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// The limits are those of the schema, and for options those of a list's filter and
// of a page that people can read.
const (
	maxName         = 200
	maxCategorySlug = 100
	maxDescription  = 10_000
	maxSKU          = 64
	maxOptionCount  = 10
	maxValueCount   = 100
	maxOptionPart   = 50 // runes of a name or a value: option=name:value has 100
	maxPosition     = 1_000_000
)

// adminID is for routes without query parameters.
func adminID(r *http.Request) (id.ID, error) {
	if _, err := web.ParseQuery(r); err != nil {
		return id.ID{}, err
	}
	return web.PathID(r, "id")
}

// adminRef also wants to know which version the caller has looked at.
func adminRef(r *http.Request) (at Ref, err error) {
	if at.ID, err = adminID(r); err != nil {
		return Ref{}, err
	}
	at.Version, err = web.RequiredMatch(r)
	return at, err
}

func sendVersion(w http.ResponseWriter, version int64, v any) error {
	w.Header().Set("ETag", web.ETag(version))
	return web.JSON(w, http.StatusOK, v)
}

func sendCreated(w http.ResponseWriter, path string, made id.ID, version int64, v any) error {
	w.Header().Set("Location", path+made.String())
	w.Header().Set("ETag", web.ETag(version))
	return web.JSON(w, http.StatusCreated, v)
}

func sendNothing(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// A body serves a POST, which needs the members that have no default, and a PATCH,
// which needs none.
func required(v *web.Validator, creating bool, given bool, pointer string) {
	v.Check(given || !creating, pointer, "required", "must be given")
}

func categoryBody(w http.ResponseWriter, r *http.Request, creating bool) (c CategoryChange, err error) {
	if _, err := web.ParseQuery(r); err != nil {
		return c, err
	}
	nulls, err := web.Patch(w, r, &c, "parent_id")
	if err != nil {
		return c, err
	}
	c.ToRoot = len(nulls) > 0
	var v web.Validator
	required(&v, creating, c.Name != nil, "/name")
	required(&v, creating, c.Slug != nil, "/slug")
	checkName(&v, c.Name)
	checkSlug(&v, c.Slug, maxCategorySlug)
	if c.Position != nil {
		v.Check(*c.Position >= 0 && *c.Position <= maxPosition, "/position", "out_of_range", "must be 0..1000000")
	}
	return c, v.Err()
}

func productBody(w http.ResponseWriter, r *http.Request, creating bool) (c ProductChange, err error) {
	if _, err := web.ParseQuery(r); err != nil {
		return c, err
	}
	if _, err := web.Patch(w, r, &c); err != nil {
		return c, err
	}
	var v web.Validator
	required(&v, creating, c.Name != nil, "/name")
	required(&v, creating, c.Slug != nil, "/slug")
	required(&v, creating, c.CategoryID != nil, "/category_id")
	checkName(&v, c.Name)
	checkSlug(&v, c.Slug, maxSlug)
	if c.Description != nil {
		v.Multiline(*c.Description, "/description", 0, maxDescription)
	}
	if c.Options != nil {
		checkOptions(&v, *c.Options)
	}
	if c.Status != nil {
		known := *c.Status == Draft || *c.Status == Active || *c.Status == Archived
		v.Check(known, "/status", "not_allowed", "must be draft, active or archived")
	}
	return c, v.Err()
}

// variantBody reads the price through pointers: an amount left out would be 0, and
// the variant given away.
func variantBody(w http.ResponseWriter, r *http.Request, currency string, creating bool) (c VariantChange, err error) {
	if _, err := web.ParseQuery(r); err != nil {
		return c, err
	}
	var sent struct {
		SKU     *string            `json:"sku"`
		Options *map[string]string `json:"options"`
		Price   *struct {
			Amount   *int64  `json:"amount"`
			Currency *string `json:"currency"`
		} `json:"price"`
		Active *bool `json:"active"`
	}
	if _, err := web.Patch(w, r, &sent); err != nil {
		return c, err
	}
	var v web.Validator
	required(&v, creating, sent.SKU != nil, "/sku")
	required(&v, creating, sent.Price != nil, "/price")
	if sent.SKU != nil {
		v.Text(*sent.SKU, "/sku", 1, maxSKU)
	}
	if p := sent.Price; p != nil {
		v.Check(p.Amount != nil, "/price/amount", "required", "must be the price in minor units")
		v.Check(p.Amount == nil || *p.Amount >= 0 && *p.Amount <= MaxPrice, "/price/amount", "out_of_range", "must be 0.."+strconv.Itoa(MaxPrice))
		v.Check(p.Currency != nil && *p.Currency == currency, "/price/currency", "wrong_currency", "must be "+currency)
		c.Price = p.Amount
	}
	if sent.Options != nil {
		v.Check(len(*sent.Options) <= maxOptionCount, "/options", "too_many", "must have at most 10 members")
	}
	c.SKU, c.Options, c.Active = sent.SKU, sent.Options, sent.Active
	return c, v.Err()
}

func checkName(v *web.Validator, name *string) {
	if name != nil {
		v.Text(*name, "/name", 1, maxName)
	}
}

func checkSlug(v *web.Validator, slug *string, longest int) {
	if slug != nil {
		v.Check(len(*slug) <= longest, "/slug", "too_long", "must have at most "+strconv.Itoa(longest)+" characters")
		v.Check(slugForm.MatchString(*slug), "/slug", "invalid_slug", "must be words of a-z and 0-9 with single dashes between")
	}
}

// checkOptions keeps each name and value distinct, and colons out of names: a list
// is filtered by name:value.
func checkOptions(v *web.Validator, options []Option) {
	v.Check(len(options) <= maxOptionCount, "/options", "too_many", "must have at most 10 elements")
	names := map[string]bool{}
	for i, o := range options {
		at := "/options/" + strconv.Itoa(i)
		v.Text(o.Name, at+"/name", 1, maxOptionPart)
		v.Check(!strings.Contains(o.Name, ":"), at+"/name", "invalid_option", "must not hold a colon")
		v.Check(!names[o.Name], at+"/name", "repeated", "must differ from the other names")
		names[o.Name] = true
		checkValues(v, o.Values, at+"/values")
	}
}

func checkValues(v *web.Validator, values []string, at string) {
	v.Check(len(values) >= 1 && len(values) <= maxValueCount, at, "out_of_range", "must have 1..100 elements")
	seen := map[string]bool{}
	for i, value := range values {
		at := at + "/" + strconv.Itoa(i)
		v.Text(value, at, 1, maxOptionPart)
		v.Check(!seen[value], at, "repeated", "must differ from the other values")
		seen[value] = true
	}
}
