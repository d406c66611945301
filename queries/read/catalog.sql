-- name: Categories :many
-- The whole tree; the caller adds up what lies below each node.
SELECT id, parent_id, slug, name, position, product_count
FROM categories
ORDER BY position, name, id;

-- name: ProductBySlug :many
-- One row for each active variant of a listed product, which has at least one:
-- no rows means that there is no such product to show.
SELECT p.id, p.slug, p.name, p.description, p.options, p.price_min, p.price_max, p.in_stock,
    p.version, p.created_at, p.updated_at, c.slug AS category_slug, c.name AS category_name,
    v.id AS variant_id, v.sku, v.options AS variant_options, v.price, v.stock_quantity
FROM products p
JOIN categories c ON c.id = p.category_id
JOIN variants v ON v.product_id = p.id AND v.active
WHERE p.slug = @slug AND p.listed
ORDER BY v.position, v.id;

-- name: VariantStock :many
SELECT v.id, v.stock_quantity, (v.active AND p.listed)::boolean AS sellable
FROM variants v
JOIN products p ON p.id = v.product_id
WHERE v.id = ANY (@ids::uuid[]);
