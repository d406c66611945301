package catalog

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/admin"
	"example.com/leeway/internal/web"
)

// AdminRoutes adds what those do who run the shop. r must have authenticated them.
// Stock is adjusted by package orders, which has the memory of Idempotency-Keys.
func AdminRoutes(r chi.Router, store *Store, render *web.Renderer) {
	h := handlers{store}
	handle := render.With(adminProblems...).Handle
	catalog := r.With(admin.Require(admin.Catalog, render))
	stock := r.With(admin.Require(admin.Stock, render))

	catalog.Post("/v1/admin/categories", handle(h.createCategory))
	catalog.Patch("/v1/admin/categories/{id}", handle(h.changeCategory))
	catalog.Delete("/v1/admin/categories/{id}", handle(h.deleteCategory))
	catalog.Post("/v1/admin/products", handle(h.createProduct))
	catalog.Get("/v1/admin/products/{id}", handle(h.adminProduct))
	catalog.Patch("/v1/admin/products/{id}", handle(h.changeProduct))
	catalog.Delete("/v1/admin/products/{id}", handle(h.archiveProduct))
	catalog.Post("/v1/admin/products/{id}/variants", handle(h.createVariant))
	catalog.Patch("/v1/admin/variants/{id}", handle(h.changeVariant))
	stock.Get("/v1/admin/variants/{id}/stock-movements", handle(h.movements))
}

// adminProblems is problems for those who may know more.
var adminProblems = []web.Mapping{
	{Err: ErrNotFound, Problem: *web.NotFound},
	{Err: ErrStale, Problem: *web.PreconditionFailed},
	{Err: ErrSlugTaken, Problem: conflict("slug_taken", "Another one has this slug.")},
	{Err: ErrSKUTaken, Problem: conflict("sku_taken", "Another variant has this SKU.")},
	{Err: ErrOptionsTaken, Problem: conflict("options_taken", "Another variant of the product has the same options.")},
	{Err: ErrCategoryNotEmpty, Problem: conflict("category_not_empty",
		"The category holds categories or products, archived ones included. Move them first.")},
	{Err: ErrCategoryCycle, Problem: conflict("category_cycle", "A category cannot be below itself.")},
	{Err: ErrOptionsInUse, Problem: conflict("options_in_use", "A variant has an option or a value that would go.")},
	{Err: ErrTooDeep, Problem: invalidField("/parent_id", "too_deep", "must leave the tree with at most 10 levels")},
	{Err: ErrUnknownParent, Problem: invalidField("/parent_id", "unknown_category", "must be the id of a category")},
	{Err: ErrUnknownCategory, Problem: invalidField("/category_id", "unknown_category", "must be the id of a category")},
	{Err: ErrForeignOptions, Problem: invalidField("/options", "unknown_option", "must be options and values that the product has")},
}

func conflict(code, detail string) web.Problem {
	return web.Problem{Status: http.StatusConflict, Code: code, Detail: detail}
}

// invalidField is what a Validator would have said, had it known the database.
func invalidField(pointer, code, detail string) web.Problem {
	return *web.Invalid(http.StatusUnprocessableEntity, "invalid_body",
		web.FieldError{Pointer: pointer, Code: code, Detail: detail})
}

func (h handlers) createCategory(w http.ResponseWriter, r *http.Request) error {
	change, err := categoryBody(w, r, true)
	if err != nil {
		return err
	}
	category, err := h.store.CreateCategory(r.Context(), change)
	if err != nil {
		return err
	}
	return sendCreated(w, "/v1/admin/categories/", category.ID, category.Version, category)
}

func (h handlers) changeCategory(w http.ResponseWriter, r *http.Request) error {
	at, err := adminRef(r)
	if err != nil {
		return err
	}
	change, err := categoryBody(w, r, false)
	if err != nil {
		return err
	}
	category, err := h.store.ChangeCategory(r.Context(), at, change)
	if err != nil {
		return err
	}
	return sendVersion(w, category.Version, category)
}

func (h handlers) deleteCategory(w http.ResponseWriter, r *http.Request) error {
	at, err := adminRef(r)
	if err != nil {
		return err
	}
	return sendNothing(w, h.store.DeleteCategory(r.Context(), at))
}

func (h handlers) createProduct(w http.ResponseWriter, r *http.Request) error {
	change, err := productBody(w, r, true)
	if err != nil {
		return err
	}
	product, err := h.store.CreateProduct(r.Context(), change)
	if err != nil {
		return err
	}
	return sendCreated(w, "/v1/admin/products/", product.ID, product.Version, product)
}

// adminProduct has an ETag for If-Match but answers no If-None-Match: the version
// does not count sales, so a 304 would keep an old stock on screen.
func (h handlers) adminProduct(w http.ResponseWriter, r *http.Request) error {
	product, err := adminID(r)
	if err != nil {
		return err
	}
	p, err := h.store.AdminProduct(r.Context(), product)
	if err != nil {
		return err
	}
	return sendVersion(w, p.Version, p)
}

func (h handlers) changeProduct(w http.ResponseWriter, r *http.Request) error {
	at, err := adminRef(r)
	if err != nil {
		return err
	}
	change, err := productBody(w, r, false)
	if err != nil {
		return err
	}
	product, err := h.store.ChangeProduct(r.Context(), at, change)
	if err != nil {
		return err
	}
	return sendVersion(w, product.Version, product)
}

func (h handlers) archiveProduct(w http.ResponseWriter, r *http.Request) error {
	at, err := adminRef(r)
	if err != nil {
		return err
	}
	return sendNothing(w, h.store.ArchiveProduct(r.Context(), at))
}

func (h handlers) createVariant(w http.ResponseWriter, r *http.Request) error {
	product, err := adminID(r)
	if err != nil {
		return err
	}
	change, err := variantBody(w, r, h.store.config.Currency, true)
	if err != nil {
		return err
	}
	variant, err := h.store.CreateVariant(r.Context(), product, change)
	if err != nil {
		return err
	}
	return sendCreated(w, "/v1/admin/variants/", variant.ID, variant.Version, variant)
}

func (h handlers) changeVariant(w http.ResponseWriter, r *http.Request) error {
	at, err := adminRef(r)
	if err != nil {
		return err
	}
	change, err := variantBody(w, r, h.store.config.Currency, false)
	if err != nil {
		return err
	}
	variant, err := h.store.ChangeVariant(r.Context(), at, change)
	if err != nil {
		return err
	}
	return sendVersion(w, variant.Version, variant)
}

func (h handlers) movements(w http.ResponseWriter, r *http.Request) error {
	variant, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	q, err := web.ParseQuery(r, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, cursor := q.Limit(), q.Cursor()
	if err := q.Err(); err != nil {
		return err
	}
	movements, next, err := h.store.Movements(r.Context(), variant, limit, cursor)
	if err != nil {
		return err
	}
	return web.SendList(w, r, movements, limit, next)
}
