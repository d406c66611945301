-- Search. search_query (migrations/00005_search.sql) says what a text asks for. @last is
-- a word that is not finished, or ''.
--
-- What matches is bounded before it is ranked or counted, most popular first: a
-- word that half of the catalog has must not cost a rank of half of the catalog.

-- name: SearchPage :many
-- The score is rounded so that it is the same number on its way through the
-- cursor and back. Popularity adds at most 28 %, and decides where ts_rank has
-- nothing to say, as with "walnut -chair": hence the 0.01. Unstemmed words have no
-- weight, being a second copy of the name.
--
-- The description comes along when the name alone does not have what was asked for.
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
), asked AS MATERIALIZED (
    -- Once: a generic plan would parse it for each row, 60 microseconds a time.
    SELECT search_query(@text::text, @last::text) AS query
), hits AS MATERIALIZED (
    SELECT p.id, p.search, p.popularity
    FROM products p
    WHERE p.listed AND p.search @@ (SELECT query FROM asked)
        AND (@category = '' OR p.category_id = ANY (ARRAY(SELECT id FROM subtree)))
        AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
    ORDER BY p.popularity DESC, p.id
    LIMIT @max_hits
), ranked AS MATERIALIZED (
    SELECT h.id, (round((0.01 + ts_rank('{0, 0.2, 0.4, 1}', h.search, (SELECT query FROM asked)))
        * (1 + ln(1 + greatest(h.popularity, 0)) / 50) * 1e6::float8) / 1e6)::float8 AS score
    FROM hits h
), page AS (
    SELECT r.id, r.score FROM ranked r
    WHERE (r.score, r.id) < (@after_score::float8, @after_id::uuid)
    ORDER BY r.score DESC, r.id DESC
    LIMIT @max_rows
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name, g.score,
    (CASE WHEN ts_filter(p.search, '{a,d}') @@ (SELECT query FROM asked) THEN '' ELSE p.description END)::text AS description,
    (SELECT query FROM asked)::text AS query,
    (SELECT count(*) FROM hits) AS hits
FROM page g
JOIN products p ON p.id = g.id
JOIN categories c ON c.id = p.category_id
ORDER BY g.score DESC, g.id DESC;

-- name: SearchFacets :many
-- Counts for each facet under all filters but its own: a shopper who chose red
-- still sees how many are blue. A product counts in every price band that its
-- range overlaps, and in its category and all above, which is what the filter
-- would show. The category that was chosen is there even if it counts none: who chose
-- it must find it to leave it.
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
), asked AS MATERIALIZED (
    SELECT search_query(@text::text, @last::text) AS query
), hits AS MATERIALIZED (
    SELECT p.category_id, p.price_min, p.price_max, p.option_tags,
        (@category = '' OR p.category_id = ANY (ARRAY(SELECT id FROM subtree))) AS in_category,
        ((sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
            AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))) AS in_price,
        (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1')) AS in_option1,
        (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2')) AS in_option2,
        (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3')) AS in_option3,
        (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4')) AS in_option4
    FROM products p
    WHERE p.listed AND p.search @@ (SELECT query FROM asked)
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
    ORDER BY p.popularity DESC, p.id
    LIMIT @max_hits
), by_category AS (
    SELECT h.category_id, count(*) AS n
    FROM hits h
    WHERE @by_category::boolean AND h.in_price
        AND h.in_option1 AND h.in_option2 AND h.in_option3 AND h.in_option4
    GROUP BY h.category_id
    UNION ALL
    SELECT c.id, 0 FROM categories c WHERE @by_category AND c.slug = @category
), lineage AS (
    -- Each category that counts, with itself and whatever is above it. UNION ends
    -- it even if the table has a cycle.
    SELECT DISTINCT category_id, category_id AS within FROM by_category
    UNION
    SELECT l.category_id, c.parent_id FROM lineage l JOIN categories c ON c.id = l.within
    WHERE c.parent_id IS NOT NULL
), counted AS (
    SELECT 'category'::text AS facet, c.slug::text AS value, c.name::text AS label, sum(b.n)::bigint AS n
    FROM by_category b
    JOIN lineage l ON l.category_id = b.category_id
    JOIN categories c ON c.id = l.within
    GROUP BY c.slug, c.name
    HAVING sum(b.n) > 0 OR c.slug = @category
    UNION ALL
    SELECT 'price', band.lo::text, ''::text, count(*)
    FROM hits h
    JOIN (SELECT unnest(@band_lo::bigint[]) AS lo, unnest(@band_hi::bigint[]) AS hi) band
        ON h.price_max >= band.lo AND h.price_min <= band.hi
    WHERE h.in_category
        AND h.in_option1 AND h.in_option2 AND h.in_option3 AND h.in_option4
    GROUP BY band.lo
    UNION ALL
    SELECT 'option.' || wanted.name, substr(tag.tag, length(wanted.name) + 2), ''::text, count(*)
    FROM hits h
    CROSS JOIN (SELECT unnest(@by_options::text[]) AS name) wanted
    CROSS JOIN LATERAL (SELECT unnest(h.option_tags) AS tag) tag
    WHERE h.in_category AND h.in_price AND starts_with(tag.tag, wanted.name || ':')
        AND (h.in_option1 OR wanted.name = @option_name1::text)
        AND (h.in_option2 OR wanted.name = @option_name2::text)
        AND (h.in_option3 OR wanted.name = @option_name3::text)
        AND (h.in_option4 OR wanted.name = @option_name4::text)
    GROUP BY wanted.name, tag.tag
    UNION ALL
    SELECT '', '', '', 0 -- for hits, when nothing counts
)
SELECT facet::text, value::text, label::text, n::bigint, (SELECT count(*) FROM hits) AS hits
FROM counted
ORDER BY facet, n DESC, value;

-- name: SimilarWords :many
-- Which of the typed words find something, or are too common to be looked for; and for
-- the others the words of names that are two edits away at the most, and some that are
-- not: the caller measures.
SELECT t.typed::text AS typed, k.known::boolean AS known,
    ARRAY(SELECT w.word FROM search_words w
        WHERE NOT k.known AND deletion_neighbourhood(w.word) && deletion_neighbourhood(t.typed))::text[] AS similar
FROM unnest(@typed::text[]) AS t (typed)
CROSS JOIN LATERAL (SELECT search_query(t.typed) AS query) AS q
CROSS JOIN LATERAL (
    SELECT numnode(q.query) = 0 OR EXISTS (SELECT FROM products p WHERE p.listed AND p.search @@ q.query) AS known
) AS k;

-- name: CountMatches :many
-- How many products each text finds, counted up to max_count, in the order of the texts.
SELECT (SELECT count(*) FROM (
        SELECT FROM products p
        WHERE p.listed AND p.search @@ search_query(t.text)
        LIMIT @max_count
    ) AS m) AS matches
FROM unnest(@texts::text[]) WITH ORDINALITY AS t (text, nr)
ORDER BY t.nr;

-- name: Suggest :many
-- Names only, whose words have the weights A and D. Categories come first, by a word
-- that starts like the text, @folded.
--
-- Products come by popularity. A prefix of two letters matches a good part of the
-- catalog, and all of it would have to be read and sorted; so the most popular ones are
-- looked through first, and the index over words is asked for the others only when
-- they do not fill the answer.
WITH asked AS MATERIALIZED (
    SELECT search_query(@text::text, @last::text) AS query
)
(SELECT 'category'::text AS kind, c.name AS label, c.slug AS slug
FROM categories c
WHERE position(' ' || @folded::text IN ' ' || lower(unaccent(c.name))) > 0
ORDER BY c.product_count DESC, c.id
LIMIT 3)
UNION ALL
(SELECT 'product'::text, p.name, p.slug
FROM (
    SELECT l.name, l.slug, l.search FROM products l
    WHERE l.listed ORDER BY l.popularity DESC, l.id LIMIT 500
) AS p
WHERE p.search @@ (SELECT query FROM asked) AND ts_filter(p.search, '{a,d}') @@ (SELECT query FROM asked)
LIMIT @max_rows)
UNION ALL
-- The others: none, if the ones above were all there are (then the row below is NULL).
(SELECT 'product'::text, p.name, p.slug
FROM products p
WHERE p.listed AND p.search @@ (SELECT query FROM asked) AND ts_filter(p.search, '{a,d}') @@ (SELECT query FROM asked)
    AND (-p.popularity, p.id) > (
        SELECT -l.popularity, l.id FROM products l
        WHERE l.listed ORDER BY l.popularity DESC, l.id LIMIT 1 OFFSET 499
    )
ORDER BY p.popularity DESC, p.id
LIMIT @max_rows)
LIMIT @max_rows;
