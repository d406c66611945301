-- +goose Up

-- A key is claimed with a row of some 150 bytes, which its answer of some 1,000 joins in the
-- same transaction. A page takes five such rows and keeps the rest for their answers: a
-- version on the row's own page needs no entries of its own in the indexes (HOT, manual,
-- section 73.7), of which one goes to a random page, since callers are digests.
ALTER TABLE idempotency_keys SET (fillfactor = 10);

-- +goose Down
ALTER TABLE idempotency_keys RESET (fillfactor);
