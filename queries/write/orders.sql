-- name: LockOrder :one
-- Locks the shopper's order for the rest of the transaction; a rival that waited
-- sees what the winner made of it (READ COMMITTED reads the row again). The lock is
-- written to the WAL, so a commit after it waits for the synchronous standby even if
-- nothing else was written, and no answer rests on what no standby has.
SELECT o.status, o.version, o.total, o.currency, (o.expires_at <= now())::boolean AS overdue
FROM orders o
JOIN shoppers s ON s.id = o.shopper_id
WHERE o.id = @order_id AND s.token_digest = @token_digest
FOR NO KEY UPDATE OF o;

-- name: MoveOrder :execrows
-- One step of an order's course, with its line of history. The state that it leaves
-- stands in the UPDATE itself, as the net below the lock. statement_timestamp()
-- because now() is from before the wait for the lock: a later step would be older.
WITH moved AS (
    UPDATE orders
    SET status = @to_status, version = version + 1, updated_at = statement_timestamp()
    WHERE id = @order_id AND status = @from_status::text
    RETURNING id, version, updated_at
)
INSERT INTO order_history (order_id, version, from_status, to_status, reason, at)
SELECT m.id, m.version, @from_status::text, @to_status, @reason, m.updated_at FROM moved m;

-- name: RecordPayment :exec
INSERT INTO payments (id, order_id, method, outcome, amount, currency)
VALUES (@id, @order_id, @method, @outcome, @amount, @currency);

-- name: RefundPayment :exec
-- Gives back what was paid, if anything was.
INSERT INTO payments (id, order_id, method, outcome, amount, currency)
SELECT @id, p.order_id, p.method, 'refunded', p.amount, p.currency
FROM payments p
WHERE p.order_id = @order_id AND p.outcome = 'approved';

-- name: LockDueOrders :many
-- The orders that have waited longest beyond their time. SKIP LOCKED gives two
-- sweepers disjoint batches, and leaves alone what is being paid or cancelled.
SELECT o.id FROM orders o
WHERE o.status = 'pending_payment' AND o.expires_at <= now() AND o.id <> ALL (@but::uuid[])
ORDER BY o.expires_at, o.id
LIMIT @max_orders
FOR NO KEY UPDATE SKIP LOCKED;

-- name: ExpireOrders :many
-- Expires orders that are locked and due, and returns their lines.
WITH expired AS (
    UPDATE orders o
    SET status = 'expired', version = o.version + 1, updated_at = statement_timestamp()
    WHERE o.id = ANY (@ids::uuid[]) AND o.status = 'pending_payment'
    RETURNING o.id, o.version, o.updated_at
), steps AS (
    INSERT INTO order_history (order_id, version, from_status, to_status, reason, at)
    SELECT e.id, e.version, 'pending_payment', 'expired', @reason::text, e.updated_at FROM expired e
)
SELECT l.order_id, l.variant_id, l.quantity
FROM expired e
JOIN order_lines l ON l.order_id = e.id
ORDER BY l.order_id, l.variant_id;
