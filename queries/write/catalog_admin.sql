-- name: LockCategoryTree :exec
-- Whoever gives a category a parent waits here. Two moves that are each fine can
-- make a cycle together, and no lock on the rows that they touch would show it.
SELECT pg_advisory_xact_lock(hashtext('leeway category tree'));

-- name: CategoryParents :many
SELECT id, parent_id FROM categories;

-- name: LockCategory :one
-- FOR UPDATE from the start, because the slug is a key: asking for less and then
-- changing it would raise the lock, against those who hold a share of it for a
-- foreign key. It also keeps products from coming in while a category goes.
SELECT id, parent_id, slug, name, position, revision, created_at, updated_at
FROM categories
WHERE id = @id
FOR UPDATE;

-- name: CreateCategory :one
INSERT INTO categories (id, parent_id, slug, name, position)
VALUES (@id, sqlc.narg('parent_id'), @slug, @name, @position)
RETURNING id, parent_id, slug, name, position, revision, created_at, updated_at;

-- name: UpdateCategory :one
UPDATE categories
SET parent_id = sqlc.narg('parent_id'), slug = @slug, name = @name, position = @position,
    revision = revision + 1, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING id, parent_id, slug, name, position, revision, created_at, updated_at;

-- name: CategoryInUse :one
-- Also by products that are not listed: they may be again.
SELECT (EXISTS (SELECT FROM categories c WHERE c.parent_id = @id::uuid)
    OR EXISTS (SELECT FROM products p WHERE p.category_id = @id::uuid))::boolean AS in_use;

-- name: DeleteCategory :exec
DELETE FROM categories WHERE id = @id;

-- name: LockProduct :one
-- FOR UPDATE: the slug is a key, see LockCategory.
SELECT id, category_id, slug, name, description, options, status, listed, revision, created_at, updated_at
FROM products
WHERE id = @id
FOR UPDATE;

-- name: CreateProduct :one
INSERT INTO products (id, category_id, slug, name, description, options, status)
VALUES (@id, @category_id, @slug, @name, @description, @options, @status)
RETURNING id, category_id, slug, name, description, options, status, listed, revision, created_at, updated_at;

-- name: UpdateProduct :one
UPDATE products
SET category_id = @category_id, slug = @slug, name = @name, description = @description,
    options = @options, status = @status,
    revision = revision + 1, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING id, category_id, slug, name, description, options, status, listed, revision, created_at, updated_at;

-- name: LockProductOptions :one
-- Keeps the options from changing while a variant is fitted to them. As strong as
-- the lock that the variant's trigger takes next: two who share a weaker one could
-- not both raise it.
SELECT options FROM products WHERE id = @id FOR NO KEY UPDATE;

-- name: LockVariant :one
-- FOR UPDATE: the SKU is a key, see LockCategory.
SELECT id, product_id, sku, options, price, stock_quantity, active, revision, created_at, updated_at
FROM variants
WHERE id = @id
FOR UPDATE;

-- name: CreateVariant :one
-- It has no stock; what comes in is an adjustment, with its line in the ledger.
INSERT INTO variants (id, product_id, sku, options, price, active, stock_quantity, position)
SELECT @id, @product_id, @sku, @options, @price, @active, 0, coalesce(max(v.position) + 1, 0)
FROM variants v
WHERE v.product_id = @product_id
RETURNING id, product_id, sku, options, price, stock_quantity, active, revision, created_at, updated_at;

-- name: UpdateVariant :one
UPDATE variants
SET sku = @sku, options = @options, price = @price, active = @active,
    revision = revision + 1, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING id, product_id, sku, options, price, stock_quantity, active, revision, created_at, updated_at;

-- name: AdjustStock :one
-- For a variant that LockVariants has locked and found to have enough. The ledger
-- is written from what the UPDATE returns, so that neither can happen without the
-- other.
WITH adjusted AS (
    UPDATE variants v
    SET stock_quantity = v.stock_quantity + @delta::integer, version = v.version + 1, updated_at = now()
    WHERE v.id = @variant_id
    RETURNING v.id, v.stock_quantity AS after
)
INSERT INTO stock_movements (id, variant_id, kind, delta, before, after, reason)
SELECT @id, a.id, 'adjustment', @delta::integer, a.after - @delta::integer, a.after, @reason::text FROM adjusted a
RETURNING id, seq, order_id, kind, delta, before, after, reason, created_at;
