-- +goose Up

-- Trusted since PostgreSQL 13: who may CREATE in the database may create it, and
-- roles.sql grants that to shop_owner, who need not own the database.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE categories (
    id            uuid PRIMARY KEY,
    parent_id     uuid REFERENCES categories,
    slug          text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 100),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    position      integer NOT NULL DEFAULT 0,
    -- Listed products of this category itself, without its descendants. Kept by
    -- a trigger: counting 200,000 products for each visitor of the tree is not.
    product_count integer NOT NULL DEFAULT 0,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX categories_parent ON categories (parent_id);

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    category_id uuid NOT NULL REFERENCES categories,
    slug        text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 150),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 10000),
    -- [{"name": "color", "values": ["red", "blue"]}, ...], in display order.
    options     jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(options) = 'array'),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('draft', 'active', 'archived')),
    popularity  integer NOT NULL DEFAULT 0,

    -- What a list shows of the active variants, kept by a trigger on variants so
    -- that a page of products costs one index scan and no sub-select per row.
    -- NULL prices: no active variant, therefore nothing to sell.
    price_min   bigint,
    price_max   bigint,
    in_stock    boolean NOT NULL DEFAULT false,
    option_tags text[] NOT NULL DEFAULT '{}', -- 'color:red', 'size:m', ...
    listed      boolean NOT NULL GENERATED ALWAYS AS (status = 'active' AND price_min IS NOT NULL) STORED,

    search      tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', description), 'C')
    ) STORED,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
-- One index for each sort order of the list, each ending in the id that makes
-- its keyset unique; a backward scan serves the descending twin.
CREATE INDEX products_newest ON products (created_at DESC, id DESC) WHERE listed;
CREATE INDEX products_price ON products (price_min, id) WHERE listed;
CREATE INDEX products_name ON products (name, id) WHERE listed;
CREATE INDEX products_category_newest ON products (category_id, created_at DESC, id DESC) WHERE listed;
CREATE INDEX products_category_price ON products (category_id, price_min, id) WHERE listed;
CREATE INDEX products_category_name ON products (category_id, name, id) WHERE listed;
CREATE INDEX products_search ON products USING gin (search) WHERE listed;
CREATE INDEX products_name_trgm ON products USING gin (name gin_trgm_ops) WHERE listed;
CREATE INDEX products_option_tags ON products USING gin (option_tags) WHERE listed;

CREATE TABLE variants (
    id             uuid PRIMARY KEY,
    product_id     uuid NOT NULL REFERENCES products,
    sku            text NOT NULL UNIQUE CHECK (length(sku) BETWEEN 1 AND 64),
    options        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'), -- {"color": "red"}
    price          bigint NOT NULL CHECK (price BETWEEN 0 AND 1000000000000), -- minor units
    -- The net below the guarded UPDATE: stock is never sold twice.
    stock_quantity integer NOT NULL CHECK (stock_quantity >= 0),
    active         boolean NOT NULL DEFAULT true,
    position       integer NOT NULL DEFAULT 0,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (product_id, options)
) WITH (fillfactor = 80); -- room for HOT updates: stock changes, no index does
CREATE INDEX variants_product ON variants (product_id, position, id);

-- +goose StatementBegin
-- Brings price range, availability and option tags of the given products up to
-- date. Two sales that empty two variants of one product meet at the product's
-- row lock; the second one's UPDATE then runs on a new snapshot (READ COMMITTED,
-- volatile function) and sees the first one's stock. Products are locked in id
-- order, and only after every variant of the statement: no cycle of waits.
CREATE FUNCTION keep_product_summaries(ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(ids) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM products WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE products p
    SET price_min = s.price_min, price_max = s.price_max, in_stock = s.in_stock,
        option_tags = s.option_tags, version = p.version + 1, updated_at = now()
    FROM (
        SELECT w.id, min(v.price) AS price_min, max(v.price) AS price_max,
            coalesce(bool_or(v.stock_quantity > 0), false) AS in_stock,
            coalesce(array_agg(DISTINCT o.key || ':' || o.value ORDER BY o.key || ':' || o.value)
                FILTER (WHERE o.key IS NOT NULL), '{}') AS option_tags
        FROM unnest(ids) AS w (id)
        LEFT JOIN variants v ON v.product_id = w.id AND v.active
        LEFT JOIN LATERAL jsonb_each_text(v.options) AS o ON true
        GROUP BY w.id
    ) s
    WHERE p.id = s.id
        AND (p.price_min, p.price_max, p.in_stock, p.option_tags)
            IS DISTINCT FROM (s.price_min, s.price_max, s.in_stock, s.option_tags);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION variants_inserted() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_product_summaries(ARRAY(SELECT DISTINCT product_id FROM new_rows));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER variants_inserted AFTER INSERT ON variants
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION variants_inserted();

-- +goose StatementBegin
-- A sale that leaves some stock changes nothing a list shows, and must not
-- queue all buyers of a product's variants behind the product's row. A variant
-- that moves changes two products, the one it left and the one it came to.
CREATE FUNCTION variants_updated() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_product_summaries(ARRAY(
        SELECT DISTINCT touched.id FROM new_rows n JOIN old_rows o USING (id)
        CROSS JOIN LATERAL (VALUES (n.product_id), (o.product_id)) AS touched (id)
        WHERE (n.product_id, n.price, n.active, n.options, n.stock_quantity > 0)
            IS DISTINCT FROM (o.product_id, o.price, o.active, o.options, o.stock_quantity > 0)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER variants_updated AFTER UPDATE ON variants
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION variants_updated();

-- +goose StatementBegin
CREATE FUNCTION products_inserted() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_category_counts(ARRAY(SELECT category_id FROM new_rows WHERE listed), '{}');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER products_inserted AFTER INSERT ON products
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION products_inserted();

-- +goose StatementBegin
CREATE FUNCTION products_updated() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_category_counts(
        ARRAY(SELECT n.category_id FROM new_rows n JOIN old_rows o USING (id)
            WHERE n.listed AND (n.category_id, n.listed) IS DISTINCT FROM (o.category_id, o.listed)),
        ARRAY(SELECT o.category_id FROM new_rows n JOIN old_rows o USING (id)
            WHERE o.listed AND (n.category_id, n.listed) IS DISTINCT FROM (o.category_id, o.listed)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER products_updated AFTER UPDATE ON products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION products_updated();

-- +goose StatementBegin
-- Each array names a category once per product that came (added) or went
-- (removed). Categories are locked in id order: no cycle of waits.
CREATE FUNCTION keep_category_counts(added uuid[], removed uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(added) + cardinality(removed) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM categories WHERE id = ANY (added || removed) ORDER BY id FOR NO KEY UPDATE;
    UPDATE categories c
    SET product_count = c.product_count + d.change, version = c.version + 1, updated_at = now()
    FROM (
        SELECT id, sum(n)::integer AS change
        FROM (SELECT unnest(added) AS id, 1 AS n UNION ALL SELECT unnest(removed), -1) AS each_change
        GROUP BY id
    ) d
    WHERE c.id = d.id AND d.change <> 0;
END $$;
-- +goose StatementEnd

-- Only an owner may ANALYZE (shop_rw is none), and a load that is not followed by
-- one leaves the planner with the statistics of an empty table.
-- +goose StatementBegin
CREATE FUNCTION analyze_catalog() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS 'ANALYZE categories, products, variants';
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION analyze_catalog() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_catalog() TO shop_rw;

GRANT SELECT ON categories, products, variants TO shop_ro, shop_rw;
GRANT INSERT, UPDATE ON categories, products, variants TO shop_rw;
GRANT DELETE ON categories TO shop_rw;

-- +goose Down
DROP TABLE variants, products, categories;
DROP FUNCTION keep_product_summaries(uuid[]), variants_inserted(), variants_updated(),
    products_inserted(), products_updated(), keep_category_counts(uuid[], uuid[]), analyze_catalog();
