package catalog

import (
	"context"
	"net/http"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/web"
)

// A page is an answer as it is sent, to all who asked for it at the same time.
type page struct {
	body []byte
	tag  string // of a page without a next one
	next string // a cursor, "" on the last page
}

// listed sends what may go on on another page.
func (h handlers) listed(w http.ResponseWriter, r *http.Request,
	read func(context.Context) (v any, next string, err error),
) error {
	p, err := h.store.pages.Do(r.Context(), h.store.config.Browse, r.URL.RequestURI(), func(ctx context.Context) (page, error) {
		v, next, err := read(ctx)
		if err != nil {
			return page{}, err
		}
		body, err := web.Encode(v)
		return page{body: body, next: next}, err
	})
	if err != nil {
		return err
	}
	web.NextLink(w, r, p.next)
	return web.Raw(w, http.StatusOK, p.body)
}

// tagged sends what a browser may keep, and nothing to those who have it. The tag is the
// digest of what is sent, so that nothing that an answer shows can change without it. (A
// product's version would not do: a sale changes its variants' availability and a price
// within the range changes too, and neither touches it.)
func (h handlers) tagged(w http.ResponseWriter, r *http.Request, policy fresh.Policy,
	read func(context.Context) (any, error),
) error {
	p, err := h.store.pages.Do(r.Context(), policy, r.URL.RequestURI(), func(ctx context.Context) (page, error) {
		v, err := read(ctx)
		if err != nil {
			return page{}, err
		}
		body, err := web.Encode(v)
		return page{body: body, tag: web.DigestTag(body)}, err
	})
	if err != nil {
		return err
	}
	return web.Tagged(w, r, p.tag, p.body)
}
