-- +goose Up

-- What an ETag of the back office counts. version also moves when a sale empties a
-- variant or a product comes onto the list: an editor of a product that sells well
-- would never get a word in (412 each time), though nobody else edited anything.
ALTER TABLE categories ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE products ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE variants ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- created_at is when a transaction began, so it does not tell which movement of a
-- variant came first. This number is drawn under the variant's row lock: within a
-- variant it is the order of the commits, and before and after form a chain.
-- Adding it rewrites the table under an exclusive lock.
ALTER TABLE stock_movements ADD COLUMN seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY;
DROP INDEX stock_movements_variant;
CREATE INDEX stock_movements_variant ON stock_movements (variant_id, seq DESC);

-- The back office lists everybody's orders, and looks for those to ship.
CREATE INDEX orders_newest ON orders (created_at DESC, id DESC);
CREATE INDEX orders_status ON orders (status, created_at DESC, id DESC);

-- The new columns are covered by the grants of their tables; seq is GENERATED
-- ALWAYS, so that shop_rw cannot choose a place in the ledger.

-- +goose Down
DROP INDEX orders_newest, orders_status, stock_movements_variant;
ALTER TABLE stock_movements DROP COLUMN seq;
CREATE INDEX stock_movements_variant ON stock_movements (variant_id, created_at DESC, id DESC);
ALTER TABLE variants DROP COLUMN revision;
ALTER TABLE products DROP COLUMN revision;
ALTER TABLE categories DROP COLUMN revision;
