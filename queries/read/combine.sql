-- name: CartVariants :many
-- A hint which way a checkout should go; the transaction looks again.
SELECT variant_id FROM cart_lines WHERE cart_id = @cart_id;
