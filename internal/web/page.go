package web

import "net/http"

// A List is the envelope of every collection.
type List[T any] struct {
	Data []T  `json:"data"`
	Page Page `json:"page"`
}

// A Page says how to go on. A nil NextCursor is the last page, sent as null.
type Page struct {
	Limit      int     `json:"limit"`
	NextCursor *string `json:"next_cursor"`
}

// How many rows a page has when nobody asks, and at most.
const (
	DefaultLimit = 24
	MaxLimit     = 100
)

// NewPage is the page that is followed by the one at next; "" is the last.
func NewPage(limit int, next string) Page {
	if next == "" {
		return Page{Limit: limit}
	}
	return Page{Limit: limit, NextCursor: &next}
}

// SendList answers with one page of a collection and how to get the next. No rows are
// [] and never null: clients loop over data. (A MarshalJSON of List would see to that as
// well; but what it returns is read and copied once more.)
func SendList[T any](w http.ResponseWriter, r *http.Request, data []T, limit int, next string) error {
	if data == nil {
		data = []T{}
	}
	NextLink(w, r, next)
	return JSON(w, http.StatusOK, List[T]{Data: data, Page: NewPage(limit, next)})
}

// NextLink sets the Link header (RFC 8288) to the same request with another
// cursor. It has no host: behind a proxy, the Host header is not ours to trust.
// An empty cursor is the last page and sets nothing.
func NextLink(w http.ResponseWriter, r *http.Request, cursor string) {
	if cursor == "" {
		return
	}
	q := r.URL.Query()
	q.Set("cursor", cursor)
	w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
}
