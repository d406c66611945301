-- What one transaction does for several checkouts at once. Every list is in the same
-- order; the statements of a single checkout are beside these in checkout.sql.

-- name: ClaimKeys :many
-- ClaimKey for several keys, each named once; it returns those that have an answer. In one
-- order, so that two batches wait for each other's keys in a line and not in a circle.
WITH claimed AS (
    INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint)
    SELECT w.caller, @route::text, w.key, w.fingerprint
    FROM (SELECT unnest(@callers::bytea[]) AS caller, unnest(@keys::text[]) AS key, unnest(@fingerprints::bytea[]) AS fingerprint) w
    ORDER BY w.caller, w.key
    ON CONFLICT (caller, route, key) DO UPDATE SET replayed_at = now()
    RETURNING k.caller, k.key, k.fingerprint, k.status, k.response
)
SELECT * FROM claimed WHERE status IS NOT NULL;

-- name: KeepAnswers :exec
-- KeepAnswer for several keys, all of them claimed in this transaction. An upsert,
-- since it finds each row by the primary key: an UPDATE that joins the list keeps the
-- plan that was best when the table was small, which reads all of it.
INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint, status, response)
SELECT unnest(@callers::bytea[]), @route::text, unnest(@keys::text[]), unnest(@fingerprints::bytea[]),
    unnest(@statuses::smallint[]), unnest(@responses::bytea[])
ON CONFLICT (caller, route, key) DO UPDATE SET status = excluded.status, response = excluded.response;

-- name: LeaveKeys :exec
-- Gives back keys that were claimed and not answered, as a rollback would.
DELETE FROM idempotency_keys k
USING (SELECT unnest(@callers::bytea[]) AS caller, unnest(@keys::text[]) AS key) w
WHERE k.caller = w.caller AND k.route = @route::text AND k.key = w.key AND k.status IS NULL;

-- name: LockOpenCarts :many
-- The open carts of their shoppers that nobody else is at. A batch waits for none:
-- one cart that is busy must not keep the others.
SELECT c.id, c.version, c.shopper_id
FROM (SELECT unnest(@cart_ids::uuid[]) AS cart_id, unnest(@token_digests::bytea[]) AS token_digest) w
JOIN carts c ON c.id = w.cart_id
JOIN shoppers s ON s.id = c.shopper_id AND s.token_digest = w.token_digest
WHERE c.status = 'open'
FOR NO KEY UPDATE OF c SKIP LOCKED;

-- name: LinesOfCarts :many
-- A statement of its own after the lock, for the snapshot after it.
SELECT cart_id, variant_id, quantity FROM cart_lines WHERE cart_id = ANY (@cart_ids::uuid[]);

-- name: GoodsOfCarts :many
-- What is in the carts, each variant once: the hot one is in all of them.
SELECT v.id, v.price, v.sku, v.options, p.slug AS product_slug, p.name
FROM variants v
JOIN products p ON p.id = v.product_id
WHERE v.id = ANY (ARRAY(SELECT DISTINCT l.variant_id FROM cart_lines l WHERE l.cart_id = ANY (@cart_ids::uuid[])));

-- name: CloseCarts :execrows
UPDATE carts SET status = 'ordered', version = version + 1, updated_at = now()
WHERE id = ANY (@cart_ids::uuid[]) AND status = 'open';
