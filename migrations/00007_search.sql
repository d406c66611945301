-- +goose Up

-- Trusted since PostgreSQL 13, as pg_trgm is.
CREATE EXTENSION IF NOT EXISTS unaccent;

-- How a name and what someone types become comparable: é is e, ß is ss, œ is oe, and
-- words are stemmed ("chairs" is "chair"), or not.
CREATE TEXT SEARCH CONFIGURATION shop_english (COPY = english);
ALTER TEXT SEARCH CONFIGURATION shop_english
    ALTER MAPPING FOR word, hword, hword_part WITH unaccent, english_stem;
ALTER TEXT SEARCH CONFIGURATION shop_english
    ALTER MAPPING FOR numword, numhword, hword_numpart WITH unaccent, simple;
CREATE TEXT SEARCH CONFIGURATION shop_simple (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION shop_simple
    ALTER MAPPING FOR word, hword, hword_part, numword, numhword, hword_numpart WITH unaccent, simple;

-- +goose StatementBegin
-- The values in tags such as 'color:dark red'. array_to_string would do, but is not
-- IMMUTABLE, which a generated column needs.
CREATE FUNCTION option_words(tags text[]) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT coalesce(string_agg(substr(t, strpos(t, ':') + 1), ' '), '') FROM unnest(tags) AS t $$;
-- +goose StatementEnd

-- A is the name, B what its variants are (a red chair is found as one), C the
-- description. D is the name again, unstemmed: for prefixes, since "dinin" begins
-- "dining" but not its stem, "dine". normalize, because text from a Mac may have
-- é as e with a combining accent, at which a parser could split the word.
--
-- A new expression is a new column before PostgreSQL 17. This rewrites the table under
-- an exclusive lock, until the migration commits: 19 and 20 s for 200,000 products of the
-- sample catalog ("shop migrate up" prints it; PostgreSQL 15.18, two cores that others
-- used too). Nobody reads products meanwhile, on a standby neither.
ALTER TABLE products DROP COLUMN search;
ALTER TABLE products ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('shop_english', normalize(name)), 'A') ||
    setweight(to_tsvector('shop_english', normalize(option_words(option_tags))), 'B') ||
    setweight(to_tsvector('shop_english', normalize(description)), 'C') ||
    setweight(to_tsvector('shop_simple', normalize(name)), 'D')
) STORED;
-- fastupdate collects new entries in a list that each search reads to its end, up to
-- 4 MB of it, until a vacuum. Products are searched more often than written.
CREATE INDEX products_search ON products USING gin (search) WITH (fastupdate = off) WHERE listed;
DROP INDEX products_name_trgm; -- pg_trgm stays: it may have been somebody else's before
CREATE INDEX products_popularity ON products (popularity DESC, id) WHERE listed;

-- +goose StatementBegin
-- What a text asks of the column search: words with the operators of
-- websearch_to_tsquery, and one that is not finished, of letters and digits only, or ''.
-- The unfinished one is looked for as a prefix, and by its stem, since it may be whole:
-- "chairs" has to find "chair". If the stem is the word itself it is left out, because
-- ts_rank takes 'oak':* and 'oak' for one and may rank by either. Not STRICT: it would
-- not be inlined, and take 0.1 ms more.
CREATE FUNCTION search_query(words text, unfinished text DEFAULT '') RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE unfinished WHEN '' THEN websearch_to_tsquery('shop_english', words)
        ELSE plainto_tsquery('shop_english', words) && coalesce(
            to_tsquery('shop_simple', '''' || unfinished || ''':*')
                || nullif(plainto_tsquery('shop_english', unfinished), plainto_tsquery('shop_simple', unfinished)),
            to_tsquery('shop_simple', '''' || unfinished || ''':*'))
    END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The deletion neighbourhood of a word: what is left of its first 8 letters if none,
-- one or two of them are left out; at most 37 strings. Two words that are two edits
-- apart, swapped neighbours counted as one, have some string in common, since one
-- deletion on each side undoes an edit (Bocek, Hunt and Stiller: Fast Similarity
-- Search in Large Dictionaries, 2007). So an index over these finds each word that a
-- typo can have come from, which trigrams do not: "chiar" and "chair" share 2 of 10.
-- The ninth letter is none, and VALUES tell the planner how few rows there are:
-- with generate_series it compiled the query each time (JIT), for 100 ms.
CREATE FUNCTION deletion_neighbourhood(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT array_agg(DISTINCT overlay(overlay(left(word, 8) PLACING '' FROM i FOR 1) PLACING '' FROM j FOR 1))
    FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS one (i),
        (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS two (j)
$$;
-- +goose StatementEnd

-- Every word of a name that was ever listed. Nothing is taken out: that would need a
-- count in each row, and so a lock on it for each product that has the word. A search
-- looks whether a word still finds something before it proposes it.
CREATE TABLE search_words (
    word text COLLATE "C" PRIMARY KEY
);
INSERT INTO search_words
SELECT DISTINCT w.lexeme FROM products p CROSS JOIN LATERAL unnest(p.search) AS w
WHERE p.listed AND 'D' = ANY (w.weights);
CREATE INDEX search_words_neighbourhood ON search_words USING gin (deletion_neighbourhood(word)) WITH (fastupdate = off);

-- +goose StatementBegin
-- In the order of the words: two who add the same new ones wait for each other, and
-- in a ring if they came in different orders.
CREATE FUNCTION keep_search_words(words text[]) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO search_words
    SELECT w FROM unnest(words) AS w
    WHERE NOT EXISTS (SELECT FROM search_words s WHERE s.word = w)
    ORDER BY w
    ON CONFLICT DO NOTHING
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION search_words_inserted() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_search_words(ARRAY(
        SELECT DISTINCT w.lexeme FROM new_rows n CROSS JOIN LATERAL unnest(n.search) AS w
        WHERE n.listed AND 'D' = ANY (w.weights)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER search_words_inserted AFTER INSERT ON products
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_words_inserted();

-- +goose StatementBegin
-- A sale changes neither of the two, and costs this one comparison.
CREATE FUNCTION search_words_updated() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows n JOIN old_rows o USING (id)
            WHERE n.listed AND (n.name, n.listed) IS DISTINCT FROM (o.name, o.listed)) THEN
        PERFORM keep_search_words(ARRAY(
            SELECT DISTINCT w.lexeme FROM new_rows n CROSS JOIN LATERAL unnest(n.search) AS w
            WHERE n.listed AND 'D' = ANY (w.weights)));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER search_words_updated AFTER UPDATE ON products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_words_updated();

-- The list of new words is short, its table small: no need of analyze_catalog.
GRANT SELECT ON search_words TO shop_ro, shop_rw;
GRANT INSERT ON search_words TO shop_rw;
-- A generated column and an index call their functions as whoever writes; three of
-- these only compute, and may be called by who reads as well.
REVOKE EXECUTE ON FUNCTION option_words(text[]), search_query(text, text), deletion_neighbourhood(text),
    keep_search_words(text[]), search_words_inserted(), search_words_updated() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION option_words(text[]), search_query(text, text), deletion_neighbourhood(text) TO shop_ro, shop_rw;
GRANT EXECUTE ON FUNCTION keep_search_words(text[]) TO shop_rw;

-- +goose Down
DROP TRIGGER search_words_updated ON products;
DROP TRIGGER search_words_inserted ON products;
DROP FUNCTION search_words_updated(), search_words_inserted(), keep_search_words(text[]);
DROP TABLE search_words;
DROP FUNCTION deletion_neighbourhood(text);
DROP INDEX products_popularity;
ALTER TABLE products DROP COLUMN search;
ALTER TABLE products ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', description), 'C')
) STORED;
CREATE INDEX products_search ON products USING gin (search) WHERE listed;
CREATE INDEX products_name_trgm ON products USING gin (name gin_trgm_ops) WHERE listed;
DROP FUNCTION option_words(text[]), search_query(text, text);
DROP TEXT SEARCH CONFIGURATION shop_english, shop_simple;
