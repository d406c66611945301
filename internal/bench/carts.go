package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"example.com/leeway/internal/load"
)

// firstCart has twelve digits, as all after it: enough for pgbench to write them into a
// UUID by itself.
const firstCart = 100_000_000_000

// A cart's ids end in its number, and so do the ids of what pgbench makes of it.
const (
	cartID    = "00000000-0000-7000-8000-"
	shopperID = "00000000-0000-7000-9000-"
	madeID    = "-0000-7000-a000-"
)

// makeCarts makes so many open carts, each of a new shopper, and returns the number of
// the first. The n-th has one of each of kinds[n/each].
//
// The secret of a shopper is the SHA-256 of "bench-" and the number, so that both sides
// know it. pgbench cannot hash: theirs are digests that it can write, scattered like real
// ones.
func (w *world) makeCarts(ctx context.Context, database string, kinds [][]string, each int, hashed bool) (int64, error) {
	first, n := w.carts+1, int64(len(kinds)*each)
	w.carts += n
	conn, err := pgx.Connect(ctx, dsn(w.primary(), "postgres", database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return first, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH made AS (
				INSERT INTO shoppers (id, token_digest)
				SELECT ('`+shopperID+`' || n)::uuid, CASE WHEN $3::boolean THEN sha256(sha256(('bench-' || n)::bytea))
					ELSE decode((10000000 + (n * 618033) % 1000003) || repeat('0', 44) || n, 'hex') END
				FROM generate_series($1::bigint, $2::bigint) AS n
			)
			INSERT INTO carts (id, shopper_id)
			SELECT ('`+cartID+`' || n)::uuid, ('`+shopperID+`' || n)::uuid FROM generate_series($1::bigint, $2::bigint) AS n`,
			first, first+n-1, hashed)
		if err != nil {
			return err
		}
		for k, kind := range kinds {
			from := first + int64(k*each)
			_, err := tx.Exec(ctx, `INSERT INTO cart_lines (cart_id, variant_id, quantity, unit_price)
				SELECT ('`+cartID+`' || n)::uuid, v.id, 1, v.price
				FROM generate_series($1::bigint, $2::bigint) AS n, variants v WHERE v.id = ANY ($3::uuid[])`,
				from, from+int64(each)-1, kind)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

const checkoutForm = `{"email":"bench@example.com","shipping_address":{"name":"Bench","line1":"1 Test Road","city":"London","postal_code":"N1 1AA","country":"GB"}}`

// order is the request that orders the cart of that number.
func order(n int64) []byte {
	secret := sha256.Sum256(fmt.Appendf(nil, "bench-%d", n))
	return load.Request("POST", fmt.Sprintf("/v1/carts/%s%d/checkout", cartID, n), checkoutForm,
		"Accept: application/json", "Authorization: Bearer "+base64.RawURLEncoding.EncodeToString(secret[:]),
		fmt.Sprintf("Idempotency-Key: bench-%d", n))
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// numbered turns the statements of one checkout, of cart n, into those of any: with the
// ids of cart :n, and new ones for all that the checkout has made. catalog are the ids
// that stay.
func numbered(all []statement, n int64, catalog map[string]bool) []statement {
	secret := sha256.Sum256(fmt.Appendf(nil, "bench-%d", n))
	same := strings.NewReplacer(
		fmt.Sprintf("%s%d", cartID, n), cartID+":n", fmt.Sprintf("%s%d", shopperID, n), shopperID+":n",
		fmt.Sprintf("bench-%d", n), "bench-:n",
		fmt.Sprintf("%x", sha256.Sum256(secret[:])), ":s "+strings.Repeat("0", 44)+" :n",
	)
	made := map[string]string{}
	var out []statement
	for _, s := range all {
		var params []string
		for _, p := range s.params {
			p = uuid.ReplaceAllStringFunc(p, func(id string) string {
				if catalog[id] || strings.HasPrefix(id, cartID) || strings.HasPrefix(id, shopperID) {
					return id
				}
				if made[id] == "" {
					made[id] = fmt.Sprintf("%08d%s:n", len(made)+1, madeID)
				}
				return made[id]
			})
			params = append(params, same.Replace(p))
		}
		out = append(out, statement{s.sql, params})
	}
	return out
}
