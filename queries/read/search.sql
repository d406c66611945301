-- Search. Each of the three modes is a branch of its own, of which the executor
-- runs one: the comparison of @mode is a one-time filter. So each branch keeps its
-- GIN index under any plan, generic ones included.
--
-- What matches is bounded before it is ranked or counted, most popular first: a
-- word that half of the catalog has must not cost a rank of half of the catalog.

-- name: SearchPage :many
-- The score is rounded so that it is the same number on its way through the
-- cursor and back. Popularity adds at most 28 %, and decides where ts_rank has
-- nothing to say, as with "walnut -chair": hence the 0.01.
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
), hits AS MATERIALIZED (
    SELECT h.* FROM (
        SELECT p.id, p.category_id, p.slug, p.name, p.description, p.search, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags, p.created_at
        FROM products p
        WHERE @mode::text = 'exact' AND p.listed AND p.search @@ websearch_to_tsquery('english', @text::text)
        UNION ALL
        SELECT p.id, p.category_id, p.slug, p.name, p.description, p.search, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags, p.created_at
        FROM products p
        WHERE @mode = 'prefix' AND p.listed AND p.search @@ to_tsquery('english', @prefix::text)
        UNION ALL
        SELECT p.id, p.category_id, p.slug, p.name, p.description, p.search, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags, p.created_at
        FROM products p
        WHERE @mode = 'fuzzy' AND p.listed AND @text <% p.name
    ) h
    WHERE (@category = '' OR h.category_id = ANY (ARRAY(SELECT id FROM subtree)))
        AND (sqlc.narg('price_min')::bigint IS NULL OR h.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR h.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR h.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR h.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR h.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR h.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR h.option_tags && sqlc.narg('option4'))
    ORDER BY h.popularity DESC, h.id
    LIMIT @max_hits
), parsed AS MATERIALIZED (
    -- Once: a plan that does not know the text would parse it for each row, 60
    -- microseconds a time.
    SELECT CASE @mode WHEN 'prefix' THEN to_tsquery('english', @prefix)
        ELSE websearch_to_tsquery('english', @text) END AS query
), ranked AS (
    SELECT h.*, round(((0.01 + CASE @mode
            WHEN 'fuzzy' THEN word_similarity(@text, h.name)
            ELSE ts_rank(h.search, (SELECT query FROM parsed))
        END) * (1 + ln(1 + greatest(h.popularity, 0)) / 50))::numeric, 6)::float8 AS score
    FROM hits h
), page AS (
    SELECT r.* FROM ranked r
    WHERE (r.score, r.id) < (@after_score::float8, @after_id::uuid)
    ORDER BY r.score DESC, r.id DESC
    LIMIT @max_rows
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name, p.score,
    -- The marks are private-use characters, which become tags once all else is
    -- escaped. There is nothing to mark for a fuzzy match.
    (CASE @mode
        WHEN 'fuzzy' THEN p.name
        ELSE ts_headline('english', p.name || '. ' || p.description, (SELECT query FROM parsed), @headline::text)
    END)::text AS headline,
    (SELECT count(*) FROM hits) AS hits
FROM page p
JOIN categories c ON c.id = p.category_id
ORDER BY p.score DESC, p.id DESC;

-- name: SearchFacets :many
-- Counts for each facet under all filters but its own: a shopper who chose red
-- still sees how many are blue. A product counts in every price band that its
-- range overlaps, and in its category and all above, which is what the filter
-- would show.
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
), hits AS MATERIALIZED (
    SELECT h.category_id, h.price_min, h.price_max, h.option_tags,
        (@category = '' OR h.category_id = ANY (ARRAY(SELECT id FROM subtree))) AS in_category,
        ((sqlc.narg('price_min')::bigint IS NULL OR h.price_max >= sqlc.narg('price_min'))
            AND (sqlc.narg('price_max')::bigint IS NULL OR h.price_min <= sqlc.narg('price_max'))) AS in_price,
        (sqlc.narg('option1')::text[] IS NULL OR h.option_tags && sqlc.narg('option1')) AS in_option1,
        (sqlc.narg('option2')::text[] IS NULL OR h.option_tags && sqlc.narg('option2')) AS in_option2,
        (sqlc.narg('option3')::text[] IS NULL OR h.option_tags && sqlc.narg('option3')) AS in_option3,
        (sqlc.narg('option4')::text[] IS NULL OR h.option_tags && sqlc.narg('option4')) AS in_option4
    FROM (
        SELECT p.id, p.category_id, p.name, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags
        FROM products p
        WHERE @mode::text = 'exact' AND p.listed AND p.search @@ websearch_to_tsquery('english', @text::text)
        UNION ALL
        SELECT p.id, p.category_id, p.name, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags
        FROM products p
        WHERE @mode = 'prefix' AND p.listed AND p.search @@ to_tsquery('english', @prefix::text)
        UNION ALL
        SELECT p.id, p.category_id, p.name, p.popularity, p.price_min, p.price_max, p.in_stock, p.option_tags
        FROM products p
        WHERE @mode = 'fuzzy' AND p.listed AND @text <% p.name
    ) h
    WHERE (sqlc.narg('in_stock')::boolean IS NULL OR h.in_stock = sqlc.narg('in_stock'))
    ORDER BY h.popularity DESC, h.id
    LIMIT @max_hits
), lineage AS (
    -- Each category that was hit, with itself and whatever is above it. UNION ends
    -- it even if the table has a cycle.
    SELECT DISTINCT category_id, category_id AS within FROM hits
    UNION
    SELECT l.category_id, c.parent_id FROM lineage l JOIN categories c ON c.id = l.within
    WHERE c.parent_id IS NOT NULL
), counted AS (
    SELECT 'category'::text AS facet, c.slug::text AS value, c.name::text AS label, count(*) AS n
    FROM hits h
    JOIN lineage l ON l.category_id = h.category_id
    JOIN categories c ON c.id = l.within
    WHERE @by_category::boolean AND h.in_price
        AND h.in_option1 AND h.in_option2 AND h.in_option3 AND h.in_option4
    GROUP BY c.slug, c.name
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
)
SELECT facet::text, value::text, label::text, n::bigint, (SELECT count(*) FROM hits) AS hits
FROM counted
ORDER BY facet, n DESC, value;

-- name: LoosenWordSimilarity :exec
-- The default of 0.6 finds no typo in a short word ("charr" and "chair" have 0.5,
-- "chiar" has 0.33). What is far off comes last. Local to the transaction, so
-- it is for Snapshot only; setting a parameter is no write and runs on a standby.
SELECT set_config('pg_trgm.word_similarity_threshold', '0.3', true);

-- name: Suggest :many
-- Names only: weight A in the prefix, such as 'waln':*A. Categories come first,
-- by a word that starts like the text.
(SELECT 'category'::text AS kind, c.name AS label, c.slug AS slug
FROM categories c
WHERE position(' ' || lower(@text::text) IN ' ' || lower(c.name)) > 0
ORDER BY c.product_count DESC, c.id
LIMIT 3)
UNION ALL
(SELECT 'product'::text, p.name, p.slug
FROM products p
WHERE p.listed AND p.search @@ to_tsquery('english', @prefix::text)
ORDER BY p.popularity DESC, p.id
LIMIT @max_rows)
LIMIT @max_rows;
