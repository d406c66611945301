-- name: CartLines :many
-- One row for each line of the shopper's cart; an empty cart is one row whose
-- line columns are NULL. Another shopper's cart is no row at all. MATERIALIZED, or a
-- plan could join the lines before it looks whose they are, and the time would tell
-- a foreign cart from one that nobody has.
WITH own AS MATERIALIZED (
    SELECT c.id, c.status, c.version, c.created_at, c.updated_at
    FROM carts c
    JOIN shoppers s ON s.id = c.shopper_id
    WHERE c.id = @cart_id AND s.token_digest = @token_digest
)
SELECT c.id, c.status, c.version, c.created_at, c.updated_at,
    l.variant_id, l.quantity, l.unit_price AS price_when_added,
    v.price, v.sku, v.options, v.stock_quantity, (v.active AND p.listed) AS sellable,
    p.slug AS product_slug, p.name
FROM own c
LEFT JOIN cart_lines l ON l.cart_id = c.id
LEFT JOIN variants v ON v.id = l.variant_id
LEFT JOIN products p ON p.id = v.product_id
ORDER BY l.added_at, l.variant_id;
