-- +goose Up

-- A shop that starts looks whether the schema is as new as it needs (Applied in
-- migrations.go), and asks any node, with the role that reads.
GRANT SELECT ON goose_db_version TO shop_ro, shop_rw;

-- +goose Down
REVOKE SELECT ON goose_db_version FROM shop_ro, shop_rw;
