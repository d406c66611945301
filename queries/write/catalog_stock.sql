-- name: LockVariants :many
SELECT v.id, v.stock_quantity, (v.active AND p.listed)::boolean AS sellable
FROM variants v
JOIN products p ON p.id = v.product_id
WHERE v.id = ANY (@ids::uuid[])
ORDER BY v.id
FOR NO KEY UPDATE OF v;

-- name: TakeStock :execrows
-- For one order or those of a batch: each variant is updated once, by the sum, and the
-- ledger then tells the orders apart, one after the other, as if they had come so. The
-- guard stands in the UPDATE itself and the ledger is written from what it returns, so
-- that neither can happen without the other; in the order in which seq numbers it.
WITH line AS (
    SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@variant_ids::uuid[]) AS variant_id,
        unnest(@quantities::integer[]) AS quantity, unnest(@movement_ids::uuid[]) AS movement
), taken AS (
    UPDATE variants v
    SET stock_quantity = v.stock_quantity - w.quantity, version = v.version + 1, updated_at = now()
    FROM (SELECT l.variant_id, sum(l.quantity)::integer AS quantity FROM line l GROUP BY l.variant_id) w
    WHERE v.id = w.variant_id AND v.active AND v.stock_quantity >= w.quantity
    RETURNING v.id, v.stock_quantity + w.quantity AS before
), running AS (
    SELECT l.order_id, l.variant_id, l.quantity, l.movement,
        (sum(l.quantity) OVER (PARTITION BY l.variant_id ORDER BY l.order_id))::integer AS so_far
    FROM line l
)
INSERT INTO stock_movements (id, variant_id, order_id, kind, delta, before, after)
SELECT l.movement, l.variant_id, l.order_id, 'checkout', -l.quantity, t.before - l.so_far + l.quantity, t.before - l.so_far
FROM running l
JOIN taken t ON t.id = l.variant_id
ORDER BY l.order_id;

-- name: ReturnStock :execrows
-- Any number of orders at once: each variant is updated once, by the sum, and the
-- ledger then tells the orders apart, one after the other, as if they had come so. One
-- UPDATE, and so one lock of the products behind it, in id order.
WITH line AS (
    SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@variant_ids::uuid[]) AS variant_id,
        unnest(@quantities::integer[]) AS quantity, unnest(@movement_ids::uuid[]) AS movement
), returned AS (
    UPDATE variants v
    SET stock_quantity = v.stock_quantity + s.quantity, version = v.version + 1, updated_at = now()
    FROM (SELECT l.variant_id, sum(l.quantity)::integer AS quantity FROM line l GROUP BY l.variant_id) s
    WHERE v.id = s.variant_id
    RETURNING v.id, v.stock_quantity - s.quantity AS before
), running AS (
    SELECT l.order_id, l.variant_id, l.quantity, l.movement,
        (sum(l.quantity) OVER (PARTITION BY l.variant_id ORDER BY l.order_id))::integer AS so_far
    FROM line l
)
INSERT INTO stock_movements (id, variant_id, order_id, kind, delta, before, after)
SELECT l.movement, l.variant_id, l.order_id, @kind::text, l.quantity, r.before + l.so_far - l.quantity, r.before + l.so_far
FROM running l
JOIN returned r ON r.id = l.variant_id;
