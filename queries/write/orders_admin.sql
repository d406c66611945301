-- name: AdminLockOrder :one
SELECT status, version FROM orders WHERE id = @order_id FOR NO KEY UPDATE;

-- name: AdvanceOrder :execrows
-- The status and its step of history, from a status that AdminLockOrder has seen.
WITH moved AS (
    UPDATE orders
    SET status = @to_status, version = version + 1, updated_at = now()
    WHERE id = @order_id AND status = @from_status
    RETURNING id, version
)
INSERT INTO order_history (order_id, version, from_status, to_status, reason)
SELECT m.id, m.version, @from_status::text, @to_status::text, @reason::text FROM moved m;
