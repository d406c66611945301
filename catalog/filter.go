package catalog

import (
	"encoding/json"
	"maps"
	"slices"
)

// MaxOptionNames is how many options one list may filter by: each has its own
// parameter in the static SQL.
const MaxOptionNames = 4

// Filter narrows a list or a search. The zero value narrows nothing.
type Filter struct {
	Category string // a slug; includes the descendants; an unknown one matches nothing
	PriceMin *int64 // a product matches if its price range overlaps PriceMin..PriceMax
	PriceMax *int64
	InStock  *bool
	// Options holds the tags ("color:red") by option name. Any tag of a name will
	// do, but each name must match. This is about the product and not about one
	// variant: a red S and a blue M match color:red and size:m.
	Options map[string][]string
}

func (f Filter) isZero() bool {
	return f.Category == "" && f.PriceMin == nil && f.PriceMax == nil && f.InStock == nil && len(f.Options) == 0
}

// isCategory reports whether f is a category and nothing else.
func (f Filter) isCategory() bool {
	rest := f
	rest.Category = ""
	return f.Category != "" && rest.isZero()
}

// OptionTag is how products.option_tags writes an option's value.
func OptionTag(name, value string) string { return name + ":" + value }

// optionNames fixes which option has which of the parameters in SQL.
func (f Filter) optionNames() (names [MaxOptionNames]string) {
	copy(names[:], slices.Sorted(maps.Keys(f.Options)))
	return names
}

// optionParams are the tags in the order of optionNames; nil switches a
// parameter off.
func (f Filter) optionParams() (tags [MaxOptionNames][]string) {
	for i, name := range f.optionNames() {
		tags[i] = f.Options[name]
	}
	return tags
}

// list names the list that a cursor belongs to: these filters, written in any
// order, this sort and this search text.
func (f Filter) list(sort Sort, text string) string {
	sorted := make(map[string][]string, len(f.Options))
	for name, tags := range f.Options {
		sorted[name] = slices.Sorted(slices.Values(tags))
	}
	f.Options = sorted
	// Maps are encoded in the order of their keys.
	canonical, err := json.Marshal(struct {
		Filter Filter
		Sort   Sort
		Text   string
	}{f, sort, text})
	if err != nil {
		panic(err) // strings, numbers and booleans always encode
	}
	return "products " + string(canonical)
}
