-- name: HotCarts :many
-- A hint which way checkouts should go; their transactions look again.
SELECT cart_id, variant_id FROM cart_lines
WHERE cart_id = ANY (@cart_ids::uuid[]) AND variant_id = ANY (@variant_ids::uuid[]);
