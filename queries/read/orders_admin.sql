-- name: AdminOrders :many
-- A page of everybody's orders, newest first, starting below the given place.
SELECT id, number, status, currency, total, version, expires_at, created_at
FROM orders
WHERE (created_at, id) < (@before_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, id DESC
LIMIT @max_rows;

-- name: AdminOrdersByStatus :many
-- A statement of its own, so that the few to be shipped are found by an index and
-- not among all that were delivered.
SELECT id, number, status, currency, total, version, expires_at, created_at
FROM orders
WHERE status = @status AND (created_at, id) < (@before_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, id DESC
LIMIT @max_rows;
