-- name: CloseCart :many
-- Locks the shopper's open cart and closes it in one step. No row: it is not
-- there, not theirs or not open. A rival that waited for the lock sees the new
-- status (READ COMMITTED evaluates the condition again) and gets no row.
UPDATE carts c
SET status = 'ordered', version = c.version + 1, updated_at = now()
FROM shoppers s
WHERE c.id = @cart_id AND c.status = 'open' AND s.id = c.shopper_id AND s.token_digest = @token_digest
RETURNING c.version, c.shopper_id;

-- name: PlaceOrders :many
-- Orders, their lines and their first step of history: one, or those of a batch. The
-- lines come as values and not from cart_lines: a statement of its own would see
-- prices of a later snapshot than those the totals were made of.
WITH placed AS (
    INSERT INTO orders (id, cart_id, shopper_id, email, shipping_address, currency, total, expires_at)
    SELECT unnest(@ids::uuid[]), unnest(@cart_ids::uuid[]), unnest(@shopper_ids::uuid[]), unnest(@emails::text[]),
        unnest(@shipping_addresses::jsonb[]), @currency::text, unnest(@totals::bigint[]),
        now() + make_interval(secs => @payment_seconds::float8)
    RETURNING id, number, status, version, expires_at, created_at
), lines AS (
    INSERT INTO order_lines (order_id, variant_id, product_slug, name, sku, options, quantity, unit_price)
    SELECT unnest(@order_ids::uuid[]), unnest(@variant_ids::uuid[]), unnest(@product_slugs::text[]), unnest(@names::text[]),
        unnest(@skus::text[]), unnest(@options::jsonb[]), unnest(@quantities::integer[]), unnest(@unit_prices::bigint[])
), history AS (
    INSERT INTO order_history (order_id, version, to_status, reason, at)
    SELECT id, version, status, 'checkout', created_at FROM placed
)
SELECT id, number, status, version, expires_at, created_at FROM placed;
