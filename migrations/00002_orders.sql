-- +goose Up

-- A shopper is whoever holds the bearer token; only its SHA-256 is kept.
CREATE TABLE shoppers (
    id           uuid PRIMARY KEY,
    token_digest bytea NOT NULL UNIQUE CHECK (length(token_digest) = 32),
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE carts (
    id         uuid PRIMARY KEY,
    shopper_id uuid NOT NULL REFERENCES shoppers,
    status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'ordered', 'expired')),
    version    bigint NOT NULL DEFAULT 1, -- each change of the cart or of its lines adds one
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX carts_shopper ON carts (shopper_id);

CREATE TABLE cart_lines (
    cart_id    uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id uuid NOT NULL REFERENCES variants,
    quantity   integer NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    unit_price bigint NOT NULL, -- when it was last added or set, to tell the shopper of a change
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);

CREATE TABLE orders (
    id               uuid PRIMARY KEY,
    number           bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE, -- for people; gaps are normal
    -- A cart becomes one order, whatever is retried (promise G5).
    cart_id          uuid NOT NULL UNIQUE REFERENCES carts,
    shopper_id       uuid NOT NULL REFERENCES shoppers,
    status           text NOT NULL DEFAULT 'pending_payment'
        CHECK (status IN ('pending_payment', 'paid', 'shipped', 'delivered', 'cancelled', 'expired')),
    email            text NOT NULL,
    shipping_address jsonb NOT NULL,
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total            bigint NOT NULL CHECK (total >= 0), -- minor units
    version          bigint NOT NULL DEFAULT 1,
    expires_at       timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX orders_shopper ON orders (shopper_id, created_at DESC, id DESC);

-- What was bought, as it was sold: a later change of the catalog does not reach it.
CREATE TABLE order_lines (
    order_id     uuid NOT NULL REFERENCES orders,
    variant_id   uuid NOT NULL REFERENCES variants,
    product_slug text NOT NULL,
    name         text NOT NULL,
    sku          text NOT NULL,
    options      jsonb NOT NULL,
    quantity     integer NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    unit_price   bigint NOT NULL CHECK (unit_price >= 0),
    PRIMARY KEY (order_id, variant_id)
);

CREATE TABLE order_history (
    order_id    uuid NOT NULL REFERENCES orders,
    version     bigint NOT NULL, -- the order's version that this step made
    from_status text,            -- NULL for the first
    to_status   text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
);

-- One row for each answered Idempotency-Key. It commits with the work it
-- stands for, so the work and the memory of it are never apart.
CREATE TABLE idempotency_keys (
    caller      bytea NOT NULL, -- digest of the caller's secret: keys are private to it
    route       text NOT NULL,
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL, -- SHA-256 of method, path and body
    -- NULL only inside the transaction that works under the key.
    status      smallint,
    response    bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz, -- touched by each replay: that write waits for the standby like a commit
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- The ledger: initial stock plus the deltas is the stock of a variant.
CREATE TABLE stock_movements (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    variant_id uuid NOT NULL REFERENCES variants,
    order_id   uuid REFERENCES orders,
    kind       text NOT NULL CHECK (kind IN ('initial', 'checkout', 'cancelled', 'expired', 'adjustment')),
    delta      integer NOT NULL,
    before     integer NOT NULL CHECK (before >= 0),
    after      integer NOT NULL CHECK (after >= 0),
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (after = before + delta),
    -- Stock is taken once and returned once per order line (promise G4).
    UNIQUE (order_id, variant_id, kind)
);
CREATE INDEX stock_movements_variant ON stock_movements (variant_id, created_at DESC, id DESC);

GRANT SELECT ON shoppers, carts, cart_lines, orders, order_lines, order_history, stock_movements TO shop_ro, shop_rw;
-- Not for shop_ro: a kept answer repeats what its shopper was told, address
-- included, and no read ever needs one.
GRANT SELECT ON idempotency_keys TO shop_rw;
GRANT INSERT ON shoppers, carts, cart_lines, orders, order_lines, order_history, idempotency_keys, stock_movements TO shop_rw;
GRANT UPDATE ON carts, cart_lines, idempotency_keys TO shop_rw;
-- A placed order keeps what was bought and for how much; only its course may change.
GRANT UPDATE (status, version, expires_at, updated_at) ON orders TO shop_rw;
GRANT DELETE ON cart_lines, idempotency_keys TO shop_rw;

-- +goose Down
DROP TABLE stock_movements, idempotency_keys, order_history, order_lines, orders, cart_lines, carts, shoppers;
