-- The product list of a category and its descendants: the first rows of each
-- category of the subtree, merged. The work is bounded by the subtree, whatever
-- the plan: walking the index of all products would read far to fill a page for
-- a small category. An unknown slug is an empty list.
--
-- The ARRAY is for the planner, which takes it for 10 rows and the recursion for
-- 321: that estimate pushed the cost past jit_above_cost, and compiling took
-- 250 ms where the query takes 3.

-- name: CategoryNewest :many
-- A category as most ask for it, without filters, so that one plan is right for all of them:
-- see ProductsNewest. Each category reads no further than max_rows, within a constant that
-- shows the planner that this is cheap. Without the constant it planned anew for each request
-- as soon as a category had some hundreds of products.
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM categories c
CROSS JOIN LATERAL (
    SELECT l.id, l.slug, l.name, l.price_min, l.price_max, l.in_stock, l.created_at
    FROM (
        SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at
        FROM products p
        WHERE p.category_id = c.id AND p.listed AND (p.created_at, p.id) < (sqlc.arg('after_key')::text::timestamptz, sqlc.arg('after_id')::uuid)
        ORDER BY p.created_at DESC, p.id DESC
        LIMIT 101
    ) l
    LIMIT @max_rows
) p
WHERE c.id = ANY (ARRAY(SELECT id FROM subtree))
ORDER BY p.created_at DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsInCategoryNewest :many
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM categories c
CROSS JOIN LATERAL (
    SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at FROM products p
    WHERE p.category_id = c.id AND p.listed AND (p.created_at, p.id) < (sqlc.arg('after_key')::text::timestamptz, sqlc.arg('after_id')::uuid)
        AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
    ORDER BY p.created_at DESC, p.id DESC
    LIMIT @max_rows
) p
WHERE c.id = ANY (ARRAY(SELECT id FROM subtree))
ORDER BY p.created_at DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsInCategoryCheapest :many
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM categories c
CROSS JOIN LATERAL (
    SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at FROM products p
    WHERE p.category_id = c.id AND p.listed AND (p.price_min, p.id) > (sqlc.arg('after_key')::text::bigint, sqlc.arg('after_id')::uuid)
        AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
    ORDER BY p.price_min, p.id
    LIMIT @max_rows
) p
WHERE c.id = ANY (ARRAY(SELECT id FROM subtree))
ORDER BY p.price_min, p.id
LIMIT @max_rows;

-- name: ProductsInCategoryDearest :many
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM categories c
CROSS JOIN LATERAL (
    SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at FROM products p
    WHERE p.category_id = c.id AND p.listed AND (p.price_min, p.id) < (sqlc.arg('after_key')::text::bigint, sqlc.arg('after_id')::uuid)
        AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
    ORDER BY p.price_min DESC, p.id DESC
    LIMIT @max_rows
) p
WHERE c.id = ANY (ARRAY(SELECT id FROM subtree))
ORDER BY p.price_min DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsInCategoryByName :many
WITH RECURSIVE subtree AS (
    SELECT id FROM categories WHERE slug = @category::text
    UNION
    SELECT k.id FROM categories k JOIN subtree s ON k.parent_id = s.id
)
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM categories c
CROSS JOIN LATERAL (
    SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at FROM products p
    WHERE p.category_id = c.id AND p.listed AND (p.name, p.id) > (sqlc.arg('after_key')::text, sqlc.arg('after_id')::uuid)
        AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
        AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
        AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
        AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
        AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
        AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
        AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
    ORDER BY p.name, p.id
    LIMIT @max_rows
) p
WHERE c.id = ANY (ARRAY(SELECT id FROM subtree))
ORDER BY p.name, p.id
LIMIT @max_rows;
