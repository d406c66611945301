-- +goose Up

-- A digest in place of the options themselves: an entry of a btree index holds 2,704
-- bytes, and ten options, which a variant may have, can be more. jsonb writes equal
-- objects as equal text, since it sorts their members.
ALTER TABLE variants DROP CONSTRAINT variants_product_id_options_key;
CREATE UNIQUE INDEX variants_product_id_options_key ON variants (product_id, md5(options::text));

-- +goose Down
DROP INDEX variants_product_id_options_key;
ALTER TABLE variants ADD CONSTRAINT variants_product_id_options_key UNIQUE (product_id, options);
