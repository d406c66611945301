-- name: ShopperOrders :many
-- A page of the shopper's orders, newest first, starting below the given place.
-- An unknown shopper has none. The sub-select makes shopper_id a constant, so
-- that the index gives the order and the scan ends after max_rows.
SELECT o.id, o.number, o.status, o.currency, o.total, o.version, o.expires_at, o.created_at
FROM orders o
WHERE o.shopper_id = (SELECT s.id FROM shoppers s WHERE s.token_digest = @token_digest)
    AND (o.created_at, o.id) < (@before_at::timestamptz, @before_id::uuid)
    AND (@status::text = '' OR o.status = @status)
ORDER BY o.created_at DESC, o.id DESC
LIMIT @max_rows;

-- name: ShopperKnown :one
SELECT EXISTS (SELECT FROM shoppers s WHERE s.token_digest = @token_digest);

-- name: OrderLines :many
-- One row for each line of the shopper's order, which has at least one. MATERIALIZED
-- for the reason of CartLines.
WITH own AS MATERIALIZED (
    SELECT o.id, o.number, o.status, o.email, o.shipping_address, o.currency, o.total, o.version, o.expires_at, o.created_at
    FROM orders o
    JOIN shoppers s ON s.id = o.shopper_id
    WHERE o.id = @order_id AND s.token_digest = @token_digest
)
SELECT o.number, o.status, o.email, o.shipping_address, o.currency, o.total, o.version, o.expires_at, o.created_at,
    l.variant_id, l.product_slug, l.name, l.sku, l.options, l.quantity, l.unit_price
FROM own o
JOIN order_lines l ON l.order_id = o.id
ORDER BY l.variant_id;

-- name: OrderHistory :many
SELECT at, from_status, to_status, reason FROM order_history WHERE order_id = @order_id ORDER BY version;
