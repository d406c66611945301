-- +goose Up

-- Each attempt to pay, and each refund: rows are added and never changed.
CREATE TABLE payments (
    id         uuid PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES orders,
    method     text NOT NULL CHECK (method IN ('test')),
    outcome    text NOT NULL CHECK (outcome IN ('approved', 'declined', 'refunded')),
    amount     bigint NOT NULL CHECK (amount >= 0), -- minor units
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_order ON payments (order_id, created_at);
-- An order is paid once and refunded once; it may be declined any number of times.
CREATE UNIQUE INDEX payments_settled_once ON payments (order_id, outcome) WHERE outcome <> 'declined';

-- The net below the row lock: an order that was both cancelled and expired would
-- return its stock twice, under two kinds that UNIQUE (order_id, variant_id, kind)
-- takes for two things (promise G4).
CREATE UNIQUE INDEX stock_movements_returned_once ON stock_movements (order_id, variant_id)
    WHERE kind IN ('cancelled', 'expired');
-- A NULL order would slip through both, since NULLs are distinct.
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_of_an_order CHECK (CASE
    WHEN kind = 'checkout' THEN order_id IS NOT NULL AND delta < 0
    WHEN kind IN ('cancelled', 'expired') THEN order_id IS NOT NULL AND delta > 0
    ELSE true
END);

-- For the sweeper: as long as the orders that wait for a payment, however many
-- there were before them.
CREATE INDEX orders_due ON orders (expires_at, id) WHERE status = 'pending_payment';

-- Not for shop_ro: nothing that is read shows a payment.
GRANT SELECT, INSERT ON payments TO shop_rw;

-- +goose Down
DROP INDEX orders_due, stock_movements_returned_once;
ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_of_an_order;
DROP TABLE payments;
