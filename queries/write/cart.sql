-- name: TouchCart :one
-- Locks the shopper's cart for the rest of the transaction and counts the change.
UPDATE carts c
SET version = c.version + 1, updated_at = now()
FROM shoppers s
WHERE c.id = @cart_id AND s.id = c.shopper_id AND s.token_digest = @token_digest
RETURNING c.status, c.version, c.shopper_id;

-- name: CreateShopper :exec
INSERT INTO shoppers (id, token_digest) VALUES (@id, @token_digest);

-- name: CreateCart :execrows
-- No row: nobody holds this token.
INSERT INTO carts (id, shopper_id)
SELECT @id, s.id FROM shoppers s WHERE s.token_digest = @token_digest;

-- name: AddCartLines :many
-- Adds to lines that are there and makes those that are not. What is unknown or
-- not for sale is missing from the answer. A variant may come once: one INSERT
-- cannot update a row twice (21000).
INSERT INTO cart_lines AS l (cart_id, variant_id, quantity, unit_price)
SELECT @cart_id, v.id, w.quantity, v.price
FROM (SELECT unnest(@variant_ids::uuid[]) AS variant_id, unnest(@quantities::integer[]) AS quantity) w
JOIN variants v ON v.id = w.variant_id AND v.active
JOIN products p ON p.id = v.product_id AND p.listed
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = l.quantity + excluded.quantity, unit_price = excluded.unit_price
RETURNING l.variant_id;

-- name: SetCartLine :execrows
-- No row: the variant is unknown or not for sale.
INSERT INTO cart_lines (cart_id, variant_id, quantity, unit_price)
SELECT @cart_id, v.id, @quantity, v.price
FROM variants v
JOIN products p ON p.id = v.product_id AND p.listed
WHERE v.id = @variant_id AND v.active
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = excluded.quantity, unit_price = excluded.unit_price;

-- name: RemoveCartLine :exec
DELETE FROM cart_lines WHERE cart_id = @cart_id AND variant_id = @variant_id;
