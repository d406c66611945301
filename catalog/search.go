package catalog

// Mode is how a search found its products.
type Mode string

// The modes, in the order in which they are tried.
const (
	Exact  Mode = "exact"
	Prefix Mode = "prefix"
	Fuzzy  Mode = "fuzzy"
)
