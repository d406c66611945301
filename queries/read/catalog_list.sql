-- The product list, one statement a page and one query for each sort order, so
-- that each walks its own index and stops after the page. after_key travels as
-- text: the first page starts at a sentinel beyond every row ('infinity', -1),
-- because "after_key IS NULL OR ..." cannot be an index condition.
--
-- The filters may be NULL, which suits custom plans only: with values known, NULL
-- filters fold away and a rare option is found through products_option_tags. A
-- generic plan takes every filter to be there and reads the whole table (233 ms
-- for 20,000 products). LIMIT as a parameter makes the generic plan look as dear
-- as it is, so PostgreSQL goes on planning for the values, at about 0.15 ms.

-- name: ProductsNewest :many
-- The front page: no filter, so the generic plan is right, and planning would take
-- longer than the query. The constant is what the planner needs to see that it is cheap;
-- it is more than any page has (web.MaxLimit).
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM (
    SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at, p.category_id
    FROM products p
    WHERE p.listed AND (p.created_at, p.id) < (sqlc.arg('after_key')::text::timestamptz, sqlc.arg('after_id')::uuid)
    ORDER BY p.created_at DESC, p.id DESC
    LIMIT 101
) p JOIN categories c ON c.id = p.category_id
ORDER BY p.created_at DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsFilteredNewest :many
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM products p JOIN categories c ON c.id = p.category_id
WHERE p.listed AND (p.created_at, p.id) < (sqlc.arg('after_key')::text::timestamptz, sqlc.arg('after_id')::uuid)
    AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
    AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
    AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
    AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
    AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
    AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
    AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
ORDER BY p.created_at DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsFilteredCheapest :many
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM products p JOIN categories c ON c.id = p.category_id
WHERE p.listed AND (p.price_min, p.id) > (sqlc.arg('after_key')::text::bigint, sqlc.arg('after_id')::uuid)
    AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
    AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
    AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
    AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
    AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
    AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
    AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
ORDER BY p.price_min, p.id
LIMIT @max_rows;

-- name: ProductsFilteredDearest :many
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM products p JOIN categories c ON c.id = p.category_id
WHERE p.listed AND (p.price_min, p.id) < (sqlc.arg('after_key')::text::bigint, sqlc.arg('after_id')::uuid)
    AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
    AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
    AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
    AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
    AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
    AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
    AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
ORDER BY p.price_min DESC, p.id DESC
LIMIT @max_rows;

-- name: ProductsFilteredByName :many
SELECT p.id, p.slug, p.name, p.price_min, p.price_max, p.in_stock, p.created_at,
    c.slug AS category_slug, c.name AS category_name
FROM products p JOIN categories c ON c.id = p.category_id
WHERE p.listed AND (p.name, p.id) > (sqlc.arg('after_key')::text, sqlc.arg('after_id')::uuid)
    AND (sqlc.narg('price_min')::bigint IS NULL OR p.price_max >= sqlc.narg('price_min'))
    AND (sqlc.narg('price_max')::bigint IS NULL OR p.price_min <= sqlc.narg('price_max'))
    AND (sqlc.narg('in_stock')::boolean IS NULL OR p.in_stock = sqlc.narg('in_stock'))
    AND (sqlc.narg('option1')::text[] IS NULL OR p.option_tags && sqlc.narg('option1'))
    AND (sqlc.narg('option2')::text[] IS NULL OR p.option_tags && sqlc.narg('option2'))
    AND (sqlc.narg('option3')::text[] IS NULL OR p.option_tags && sqlc.narg('option3'))
    AND (sqlc.narg('option4')::text[] IS NULL OR p.option_tags && sqlc.narg('option4'))
ORDER BY p.name, p.id
LIMIT @max_rows;
