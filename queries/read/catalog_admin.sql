-- name: AdminProduct :one
SELECT id, category_id, slug, name, description, options, status, listed, revision, created_at, updated_at
FROM products
WHERE id = @id;

-- name: AdminVariants :many
-- All of them, also those that are not for sale.
SELECT id, product_id, sku, options, price, stock_quantity, active, revision, created_at, updated_at
FROM variants
WHERE product_id = @product_id
ORDER BY position, id;
