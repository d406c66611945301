-- name: AllowLongStatements :exec
-- For the transaction. The 5 s of shop_rw are for requests; to analyze 200,000
-- products takes longer when the machine is busy, and the whole load would be lost.
SELECT set_config('statement_timeout', '5min', true);

-- name: AnyProduct :one
SELECT EXISTS (SELECT FROM products) AS found;

-- name: TakenSlugs :many
SELECT slug FROM products WHERE slug = ANY (@slugs::text[]);

-- name: TakenSKUs :many
SELECT sku FROM variants WHERE sku = ANY (@skus::text[]);

-- name: CategoryIDs :many
SELECT slug, id FROM categories;

-- name: CopyCategories :copyfrom
INSERT INTO categories (id, parent_id, slug, name, position) VALUES ($1, $2, $3, $4, $5);

-- name: CopyProducts :copyfrom
-- With the columns that a trigger keeps: it then compares, and writes no product
-- a second time.
INSERT INTO products (id, category_id, slug, name, description, options, popularity,
    price_min, price_max, in_stock, option_tags, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: CopyVariants :copyfrom
INSERT INTO variants (id, product_id, sku, options, price, stock_quantity, position, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: CopyStockMovements :copyfrom
INSERT INTO stock_movements (id, variant_id, kind, delta, before, after, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: AnalyzeCatalog :exec
SELECT analyze_catalog();
