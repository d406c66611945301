-- name: AdminOrderLines :many
-- OrderLines, whoever the shopper is.
SELECT o.number, o.status, o.email, o.shipping_address, o.currency, o.total, o.version, o.expires_at, o.created_at,
    l.variant_id, l.product_slug, l.name, l.sku, l.options, l.quantity, l.unit_price
FROM orders o
JOIN order_lines l ON l.order_id = o.id
WHERE o.id = @order_id
ORDER BY l.variant_id;

-- name: AdminOrderHistory :many
SELECT at, from_status, to_status, reason FROM order_history WHERE order_id = @order_id ORDER BY version;
