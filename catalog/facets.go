package catalog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"example.com/leeway/db/readq"
)

// Facet is one way to narrow a search.
type Facet struct {
	Name string `json:"name"` // "category", "price" or "option.<name>"
	// Kind is "terms", or "range" if each value is written "min..max", in minor
	// units and both inclusive; the last has no max.
	Kind   string       `json:"kind"`
	Values []FacetValue `json:"values"`
	// Capped: the counts are of the most popular matches, and so lower bounds.
	Capped bool `json:"capped"`
}

// FacetValue counts the products that choosing it would leave, with all other
// filters as they are. A category counts its descendants too and is offered
// beside them, so the counts of a category facet do not add up.
type FacetValue struct {
	Value    string `json:"value"`
	Label    string `json:"label"`
	Count    int64  `json:"count"`
	Selected bool   `json:"selected"`
}

const (
	facetCategory = "category"
	facetPrice    = "price"
	facetOption   = "option." // and its name

	maxFacetValues = 50
)

// bandStarts are the lower ends of the price bands, in minor units.
var bandStarts = []int64{0, 1000, 2500, 5000, 10000, 25000, 50000, 100000}

// bandEnds: a band ends before the next one starts, and the last nowhere.
var bandEnds = func() []int64 {
	var ends []int64
	for _, next := range bandStarts[1:] {
		ends = append(ends, next-1)
	}
	return append(ends, math.MaxInt64)
}()

// facets counts in one statement, for the way in which the page was found.
func (s searcher) facets(ctx context.Context, r *readq.Queries, how way) ([]Facet, error) {
	if len(s.query.Facets) == 0 {
		return nil, nil
	}
	rows, err := r.SearchFacets(ctx, s.facetParams(how))
	if err != nil {
		return nil, fmt.Errorf("count facets: %w", err)
	}
	facets := make([]Facet, len(s.query.Facets))
	for i, name := range s.query.Facets {
		facets[i] = s.facet(name, rows)
	}
	return facets, nil
}

func (s searcher) facetParams(how way) readq.SearchFacetsParams {
	f, options, names := s.query.Filter, s.query.Filter.optionParams(), s.query.Filter.optionNames()
	text, last := how.asked()
	p := readq.SearchFacetsParams{
		Text: text, Last: last,
		Category: f.Category, PriceMin: f.PriceMin, PriceMax: f.PriceMax, InStock: f.InStock,
		Option1: options[0], Option2: options[1], Option3: options[2], Option4: options[3],
		OptionName1: names[0], OptionName2: names[1], OptionName3: names[2], OptionName4: names[3],
		MaxHits: countedHits,
	}
	for _, facet := range s.query.Facets {
		switch name, isOption := strings.CutPrefix(facet, facetOption); {
		case isOption:
			p.ByOptions = append(p.ByOptions, name)
		case facet == facetCategory:
			p.ByCategory = true
		case facet == facetPrice:
			p.BandLo, p.BandHi = bandStarts, bandEnds
		}
	}
	return p
}

// facet gathers its rows. What is selected is among the values even if it counts none
// and even if there are more than fit: who chose it must find it to leave it.
func (s searcher) facet(name string, rows []readq.SearchFacetsRow) Facet {
	facet := Facet{Name: name, Kind: "terms", Values: []FacetValue{}, Capped: rows[0].Hits >= countedHits}
	for _, r := range rows {
		if r.Facet != name {
			continue
		}
		v := FacetValue{Value: r.Value, Label: r.Label, Count: r.N, Selected: s.selected(name, r.Value)}
		if len(facet.Values) < maxFacetValues || v.Selected {
			facet.Values = append(facet.Values, v)
		}
	}
	option, isOption := strings.CutPrefix(name, facetOption)
	switch {
	case name == facetPrice:
		facet.Kind, facet.Values = "range", s.bands(facet.Values)
	case isOption:
		facet.Values = s.optionValues(option, facet.Values)
	}
	return facet
}

// optionValues labels the counted ones, and adds the selected ones that no product has.
func (s searcher) optionValues(option string, values []FacetValue) []FacetValue {
	for i, v := range values {
		values[i].Label = v.Value
	}
	for _, tag := range s.query.Filter.Options[option] {
		chosen := strings.TrimPrefix(tag, OptionTag(option, ""))
		if !slices.ContainsFunc(values, func(v FacetValue) bool { return v.Value == chosen }) {
			values = append(values, FacetValue{Value: chosen, Label: chosen, Selected: true})
		}
	}
	return values
}

// bands brings the counted bands into the order of their prices.
func (s searcher) bands(counted []FacetValue) []FacetValue {
	bands := []FacetValue{}
	for i, lo := range bandStarts {
		band := s.band(lo, bandEnds[i])
		if at := slices.IndexFunc(counted, func(v FacetValue) bool { return v.Value == fmt.Sprint(lo) }); at >= 0 {
			band.Count = counted[at].Count
		}
		if band.Count > 0 || band.Selected {
			bands = append(bands, band)
		}
	}
	return bands
}

// band is selected if the price filter is just this band.
func (s searcher) band(lo, hi int64) FacetValue {
	low, high := s.query.Filter.PriceMin, s.query.Filter.PriceMax
	from := low != nil && *low == lo || low == nil && lo == 0 && high != nil
	if hi == math.MaxInt64 {
		return FacetValue{Value: fmt.Sprintf("%d..", lo), Label: decimal(lo) + " and more", Selected: from && high == nil}
	}
	return FacetValue{
		Value: fmt.Sprintf("%d..%d", lo, hi), Label: decimal(lo) + " to " + decimal(hi),
		Selected: from && high != nil && *high == hi,
	}
}

func (s searcher) selected(facet, value string) bool {
	if name, isOption := strings.CutPrefix(facet, facetOption); isOption {
		return slices.Contains(s.query.Filter.Options[name], OptionTag(name, value))
	}
	return facet == facetCategory && s.query.Filter.Category == value
}

func decimal(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }
