-- name: LockVariants :many
SELECT v.id, v.stock_quantity, (v.active AND p.listed)::boolean AS sellable
FROM variants v
JOIN products p ON p.id = v.product_id
WHERE v.id = ANY (@ids::uuid[])
ORDER BY v.id
FOR NO KEY UPDATE OF v;

-- name: TakeStock :execrows
-- The guard stands in the UPDATE itself and the ledger is written from what it
-- returns, so that neither can happen without the other.
WITH taken AS (
    UPDATE variants v
    SET stock_quantity = v.stock_quantity - w.quantity, version = v.version + 1, updated_at = now()
    FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@quantities::integer[]) AS quantity) w
    WHERE v.id = w.id AND v.active AND v.stock_quantity >= w.quantity
    RETURNING v.id, w.quantity, v.stock_quantity AS after
)
INSERT INTO stock_movements (variant_id, order_id, kind, delta, before, after)
SELECT t.id, @order_id::uuid, 'checkout', -t.quantity, t.after + t.quantity, t.after FROM taken t;
