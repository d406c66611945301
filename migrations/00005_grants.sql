-- +goose Up

-- Named columns, so that no mistake in a query can give a cart to somebody else, make
-- a key stand for another request, or move a row to another id. Rows are locked (FOR
-- UPDATE and weaker) by whoever may update one column of them.
REVOKE UPDATE ON categories, products, variants, carts, cart_lines, idempotency_keys FROM shop_rw;
GRANT UPDATE (parent_id, slug, name, position, product_count, revision, version, updated_at) ON categories TO shop_rw;
GRANT UPDATE (category_id, slug, name, description, options, status, price_min, price_max, in_stock, option_tags,
    revision, version, updated_at) ON products TO shop_rw;
GRANT UPDATE (sku, options, price, stock_quantity, active, revision, version, updated_at) ON variants TO shop_rw;
GRANT UPDATE (status, version, updated_at) ON carts TO shop_rw;
GRANT UPDATE (quantity, unit_price) ON cart_lines TO shop_rw;
GRANT UPDATE (status, response, replayed_at) ON idempotency_keys TO shop_rw;
-- When an order expires is decided when it is placed.
REVOKE UPDATE (expires_at) ON orders FROM shop_rw;

-- A function may be called by everybody unless that is taken back. Triggers need no
-- such right, and call these two as whoever changed the table.
REVOKE EXECUTE ON FUNCTION variants_inserted(), variants_updated(), products_inserted(), products_updated(),
    keep_product_summaries(uuid[]), keep_category_counts(uuid[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_product_summaries(uuid[]), keep_category_counts(uuid[], uuid[]) TO shop_rw;

-- +goose Down
REVOKE EXECUTE ON FUNCTION keep_product_summaries(uuid[]), keep_category_counts(uuid[], uuid[]) FROM shop_rw;
GRANT EXECUTE ON FUNCTION variants_inserted(), variants_updated(), products_inserted(), products_updated(),
    keep_product_summaries(uuid[]), keep_category_counts(uuid[], uuid[]) TO PUBLIC;
GRANT UPDATE (expires_at) ON orders TO shop_rw;
GRANT UPDATE ON categories, products, variants, carts, cart_lines, idempotency_keys TO shop_rw;
