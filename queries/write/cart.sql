-- name: TouchCart :one
-- Locks the shopper's cart for the rest of the transaction and counts the change.
UPDATE carts c
SET version = c.version + 1, updated_at = now()
FROM shoppers s
WHERE c.id = @cart_id AND s.id = c.shopper_id AND s.token_digest = @token_digest
RETURNING c.status, c.version, c.shopper_id;
