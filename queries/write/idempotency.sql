-- name: ClaimKey :one
-- Takes the key, or finds what it stands for; status is NULL for who took it.
-- Waits for a twin in flight (55P03 after lock_timeout). Both outcomes write:
-- a commit that only reads would not wait for the synchronous standby, and the
-- replay could acknowledge an order that no standby has.
INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint)
VALUES (@caller, @route, @key, @fingerprint)
ON CONFLICT (caller, route, key) DO UPDATE SET replayed_at = now()
RETURNING k.fingerprint, k.status, k.response;

-- name: KeepAnswer :exec
UPDATE idempotency_keys SET status = @status::smallint, response = @response
WHERE caller = @caller AND route = @route AND key = @key;

-- name: ForgetKeys :execrows
-- Removes the oldest of the keys whose time is over, and none that is in use. By their
-- addresses: a join would be planned for a tenth of the table, since a plan does not
-- know the LIMIT, and read all of it for each batch.
DELETE FROM idempotency_keys k
WHERE k.ctid = ANY (ARRAY(
    SELECT o.ctid FROM idempotency_keys o
    WHERE o.created_at < now() - make_interval(secs => @kept_seconds::float8)
    ORDER BY o.created_at
    LIMIT @max_keys
    FOR UPDATE SKIP LOCKED
));
