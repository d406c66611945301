-- name: StockMovements :many
-- The ledger of a variant, the last movement first.
SELECT id, seq, order_id, kind, delta, before, after, reason, created_at
FROM stock_movements
WHERE variant_id = @variant_id AND seq < @before_seq
ORDER BY seq DESC
LIMIT @max_rows;

-- name: VariantKnown :one
SELECT EXISTS (SELECT FROM variants WHERE id = @id);
