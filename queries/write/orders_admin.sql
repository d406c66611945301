-- name: AdminLockOrder :one
SELECT status, version FROM orders WHERE id = @order_id FOR NO KEY UPDATE;

-- name: AdminOrderLines :many
-- OrderLines, whoever the shopper is.
SELECT o.number, o.status, o.email, o.shipping_address, o.currency, o.total, o.version, o.expires_at, o.created_at,
    l.variant_id, l.product_slug, l.name, l.sku, l.options, l.quantity, l.unit_price
FROM orders o
JOIN order_lines l ON l.order_id = o.id
WHERE o.id = @order_id
ORDER BY l.variant_id;
