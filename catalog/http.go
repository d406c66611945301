package catalog

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

// Routes adds what shoppers see of the catalog. All of it only reads.
func Routes(r chi.Router, store *Store, render *web.Renderer) {
	h := handlers{store}
	handle := render.With(problems...).Handle

	r.Get("/v1/categories", handle(h.categories))
	r.Get("/v1/categories/{slug}", handle(h.category))
	r.Get("/v1/products", handle(h.products))
	r.Get("/v1/products/{slug}", handle(h.product))
	r.Get("/v1/availability", handle(h.availability))
	r.Get("/v1/search", handle(h.search))
	r.Get("/v1/search/suggest", handle(h.suggest))
}

// problems is the one place where an error of this package meets a status.
var problems = []web.Mapping{
	{Err: ErrNotFound, Problem: *web.NotFound},
}

type handlers struct{ store *Store }

func (h handlers) categories(w http.ResponseWriter, r *http.Request) error {
	q, err := web.ParseQuery(r, "depth")
	if err != nil {
		return err
	}
	depth := q.Int("depth", MaxDepth, 1, MaxDepth)
	if err := q.Err(); err != nil {
		return err
	}
	return h.tagged(w, r, h.store.config.Browse, func(ctx context.Context) (any, error) {
		tree, err := h.store.Categories(ctx, depth)
		return whole[Category]{tree}, err
	})
}

func (h handlers) category(w http.ResponseWriter, r *http.Request) error {
	slug, err := pathSlug(r)
	if err != nil {
		return err
	}
	return h.tagged(w, r, h.store.config.Browse, func(ctx context.Context) (any, error) {
		return h.store.Category(ctx, slug)
	})
}

func (h handlers) products(w http.ResponseWriter, r *http.Request) error {
	query, err := parseList(r)
	if err != nil {
		return err
	}
	return h.listed(w, r, func(ctx context.Context) (any, string, error) {
		products, next, err := h.store.Products(ctx, query)
		return productList{Data: products, Page: web.NewPage(query.Limit, next)}, next, err
	})
}

func (h handlers) product(w http.ResponseWriter, r *http.Request) error {
	slug, err := pathSlug(r)
	if err != nil {
		return err
	}
	return h.tagged(w, r, h.store.config.Product, func(ctx context.Context) (any, error) {
		return h.store.Product(ctx, slug)
	})
}

func (h handlers) availability(w http.ResponseWriter, r *http.Request) error {
	q, err := web.ParseQuery(r, "variant_id")
	if err != nil {
		return err
	}
	ids := q.IDs("variant_id", maxAvailabilityIDs)
	if len(ids) == 0 {
		q.Fail("variant_id", "required", "must appear at least once")
	}
	if err := q.Err(); err != nil {
		return err
	}
	stocks, err := h.store.Availability(r.Context(), ids)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.JSON(w, http.StatusOK, whole[VariantStock]{stocks})
}

func (h handlers) search(w http.ResponseWriter, r *http.Request) error {
	query, err := parseSearch(r)
	if err != nil {
		return err
	}
	return h.listed(w, r, func(ctx context.Context) (any, string, error) {
		result, err := h.store.Search(ctx, query)
		return searchAnswer{
			Data: result.Hits, Facets: append([]Facet{}, result.Facets...),
			Query: result.Query, Page: web.NewPage(query.Limit, result.Next),
		}, result.Next, err
	})
}

func (h handlers) suggest(w http.ResponseWriter, r *http.Request) error {
	q, err := web.ParseQuery(r, "q", "limit")
	if err != nil {
		return err
	}
	text, limit := q.String("q", maxText), q.Int("limit", maxSuggestions, 1, maxSuggestions)
	if err := q.Err(); err != nil {
		return err
	}
	return h.listed(w, r, func(ctx context.Context) (any, string, error) {
		suggestions, err := h.store.Suggest(ctx, text, limit)
		return whole[Suggestion]{suggestions}, "", err
	})
}
