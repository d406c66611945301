#!/usr/bin/env bash
# A tour of the shop with curl: a shopper's life, then the back office's day.
#
#     make demo                     # in one terminal; it prints the line for the other:
#     SHOP_ADMIN_KEY=... docs/tour.sh
#
# SHOP_URL and SHOP_ADMIN_URL are where the shop is, if it is elsewhere. With
# SHOP_CLUSTER_DIR, the folder of the demo's servers, the replicas are stopped for a
# moment, to show what a consistency token is for. The tour ends with an error at the
# first answer that has another status than the one that is named before the request.
#
# Needs curl and what every Unix has. It leaves a category and a product behind.
set -euo pipefail

SHOP=${SHOP_URL:-http://127.0.0.1:8080}
ADMIN=${SHOP_ADMIN_URL:-http://127.0.0.1:8081}
PROGRAM=${SHOP_PROGRAM:-$(cd "$(dirname "$0")/.." && pwd)/bin/shop}

shopper() {
	chapter "A shopper"

	step "Look around. Anybody may, and a replica answers: Data-Source says which, and that it
misses nothing older than so many milliseconds."
	ask 200 "$SHOP/v1/categories?depth=1"
	tell departments "$(fields name | paste -sd, - | sed 's/,/, /g')"
	ask 200 "$SHOP/v1/products?in_stock=true&sort=-price&limit=3"
	tell "the dearest" "$(products)"

	step "Search, with two typos. Nothing has these words, so the shop looks for words that are
spelled like them."
	ask 200 "$SHOP/v1/search?q=lether+chiar&limit=3"
	tell searched "$(field mode)"
	tell "you meant" "$(field suggestion)"
	tell found "$(products)"

	step "Narrow it down. Facets count what each choice would leave, so choose the first color:
as many are left as it promised."
	ask 200 "$SHOP/v1/search?q=leather+chair&facets=category,price,option.color&in_stock=true&limit=50"
	facets
	local slugs color
	slugs=$(product_slugs) color=$(facet_values option.color | sed -n 1p)
	ask 200 "$SHOP/v1/search?q=leather+chair&option=color:$color&in_stock=true&limit=50"
	tell "$color" "$(product_slugs | wc -l | tr -d ' ') products"

	step "Open a product, and pick a variant of which there are a few."
	local slug
	VARIANT=
	for slug in $slugs; do
		ask 200 "$SHOP/v1/products/$slug"
		pick_variant && break
	done
	[ -n "$VARIANT" ] || die "none of the products has a variant of which there are 2 to 90"
	tell picked "$SKU, of which there are $STOCK"

	step "Put two into a cart. The answer names the shopper, this once, and sets a cookie that
says how far the database was when the cart was written: the consistency token.
curl keeps it like a browser, and sends it from now on."
	ask 201 "$SHOP/v1/carts" -d '{"items":[{"variant_id":"'"$VARIANT"'","quantity":2}]}'
	CART=$(field id) SHOPPER=$(field shopper_token)
	tell SHOPPER "$SHOPPER"
	tell token "$(header Consistency-Token)"

	step "Read the cart back. A replica may answer once it has replayed that write and proves it;
until then the primary does."
	ask 200 "$SHOP/v1/carts/$CART" -H "Authorization: Bearer $SHOPPER"
	TOTAL=$(field subtotal '\{"amount":[0-9]*,"currency":"[A-Z]*"\}')
	tell "to pay" "$TOTAL"
	[ -z "${SHOP_CLUSTER_DIR:-}" ] || without_replicas

	step "Check out. The Idempotency-Key makes it safe to send again when no answer comes: send
it twice, and it is still one order, which has taken the stock."
	local address='"name":"Ada","line1":"1 Main St","city":"London","postal_code":"N1 9GU","country":"GB"'
	local order='{"email":"ada@example.com","shipping_address":{'$address'},"expected_total":'$TOTAL'}'
	local key; key=tour-$(now)
	ask 201 "$SHOP/v1/carts/$CART/checkout" -H "Authorization: Bearer $SHOPPER" -H "Idempotency-Key: $key" -d "$order"
	ORDER=$(field id)
	tell order "$(field number), $(field status)"
	again 201
	tell order "$(field number), Idempotent-Replayed: $(header Idempotent-Replayed)"
	ask 200 "$SHOP/v1/availability?variant_id=$VARIANT"
	tell left "$(field available '[0-9]*') of $STOCK"

	step "Pay. No money moves here: the method is \"test\"."
	ask 200 "$SHOP/v1/orders/$ORDER/payments" -H "Authorization: Bearer $SHOPPER" -H "Idempotency-Key: pay-$key" -d '{"method":"test"}'
	tell order "$(field number), $(field status)"

	step "List the shopper's orders."
	ask 200 "$SHOP/v1/orders" -H "Authorization: Bearer $SHOPPER"
	tell orders "$(field number), $(field status)"

	step "Change your mind. Cancelling gives the stock back, in the same transaction."
	ask 200 "$SHOP/v1/orders/$ORDER/cancel" -H "Authorization: Bearer $SHOPPER" -d '{"reason":"only looking"}'
	tell order "$(field number), $(field status)"
	ask 200 "$SHOP/v1/availability?variant_id=$VARIANT"
	tell left "$(field available '[0-9]*') of $STOCK"
}

without_replicas() {
	step "Stop the replicas from replaying, and put another one in. The primary answers whoever
has written since; everybody else's reads stay where they are."
	replicas pause
	ask 200 "$SHOP/v1/carts/$CART/items" -H "Authorization: Bearer $SHOPPER" -d '{"variant_id":"'"$VARIANT"'","quantity":1}'
	ask 200 "$SHOP/v1/carts/$CART" -H "Authorization: Bearer $SHOPPER"
	tell "in the cart" "$(field quantity '[0-9]*')"

	step "Let them catch up, and take it out again."
	replicas resume
	ask 200 "$SHOP/v1/carts/$CART/items/$VARIANT" -X PUT -H "Authorization: Bearer $SHOPPER" -d '{"quantity":2}'
	TOTAL=$(field subtotal '\{"amount":[0-9]*,"currency":"[A-Z]*"\}')
	tell "to pay" "$TOTAL"
}

back_office() {
	chapter "The back office"
	KEY="X-API-Key: $SHOP_ADMIN_KEY"
	local id; id=tour-$(now)

	step "Make a category. These routes are on a listener of their own, and want a key."
	ask 201 "$ADMIN/v1/admin/categories" -H "$KEY" -d '{"name":"Tour","slug":"'"$id"'"}'
	local category; category=$(field id)

	step "Make a product. It is a draft: nobody sees it."
	ask 201 "$ADMIN/v1/admin/products" -H "$KEY" -d '{"name":"Walking Stick","slug":"'"$id"'-stick","category_id":"'"$category"'","options":[{"name":"wood","values":["ash","hazel"]}]}'
	local product; product=$(field id)
	tell product "$(field status), ETag: $(header ETag)"

	step "Give it two variants."
	local ash hazel
	ask 201 "$ADMIN/v1/admin/products/$product/variants" -H "$KEY" -d '{"sku":"'"$id"'-ash","options":{"wood":"ash"},"price":{"amount":2995,"currency":"EUR"}}'
	ash=$(field id)
	ask 201 "$ADMIN/v1/admin/products/$product/variants" -H "$KEY" -d '{"sku":"'"$id"'-hazel","options":{"wood":"hazel"},"price":{"amount":3495,"currency":"EUR"}}'
	hazel=$(field id)

	step "Take in a delivery. Stock comes and goes through a ledger, and a delivery that is sent
twice is taken in once."
	ask 201 "$ADMIN/v1/admin/variants/$hazel/stock-adjustments" -H "$KEY" -H "Idempotency-Key: $id-hazel" -d '{"delta":5,"reason":"delivery"}'
	ask 201 "$ADMIN/v1/admin/variants/$ash/stock-adjustments" -H "$KEY" -H "Idempotency-Key: $id-ash" -d '{"delta":12,"reason":"delivery","expected_stock":0}'
	again 201
	ask 200 "$ADMIN/v1/admin/variants/$ash/stock-movements" -H "$KEY"
	tell "in stock" "$(field after '[0-9]*') of ash"

	step "Put it on sale. If-Match names the version that you have seen: whoever was slower is
told so (412) instead of undoing what the other one did."
	ask 200 "$ADMIN/v1/admin/products/$product" -H "$KEY"
	local etag; etag=$(header ETag)
	ask 200 "$ADMIN/v1/admin/products/$product" -X PATCH -H "$KEY" -H "If-Match: $etag" -d '{"status":"active"}'
	tell product "$(field status), ETag: $(header ETag)"
	ask 412 "$ADMIN/v1/admin/products/$product" -X PATCH -H "$KEY" -H "If-Match: $etag" -d '{"name":"Old Stick"}'
	tell "too late" "$(field code)"

	step "See it in the shop, at once: the token of that last edit came along."
	ask 200 "$SHOP/v1/products?category=$id"
	tell listed "$(products)"
	ask 200 "$SHOP/v1/search?q=waking+stick&limit=1"
	tell found "$(products)"
}

# What the steps are made of.

chapter() { printf '\n== %s\n' "$1"; }

step() {
	steps=$((steps + 1))
	printf '\n%s. %s\n' "$steps" "$1" | sed '3,$s/^/   /'
}

tell() { printf '   %-12s %s\n' "$1" "$(printf '%s' "$2" | sed '2,$s/^/                /')"; }

die() {
	printf '\ntour: %s\n' "$1" >&2
	exit 1
}

# ask STATUS URL ARGUMENTS: shows a request, makes it, and wants the status. Cookies
# are kept and sent; a body is JSON.
ask() {
	local want=$1
	shift
	case " $* " in *' -d '*) set -- "$@" -H 'Content-Type: application/json' ;; esac
	printf '\n   curl%s\n' "$(quoted "$@")"
	request=("$@")
	send "$want"
}

again() {
	printf '\n   The same again:\n'
	send "$1"
}

send() {
	local got url=${request[0]}
	got=$(curl -sS --max-time 30 -b "$tmp/cookies" -c "$tmp/cookies" -D "$tmp/header" -o "$tmp/body" -w '%{http_code}' "${request[@]}") ||
		die "no answer from $url. Is the shop running? make demo starts one, and prints how to take this tour."
	[ "$got" = "$1" ] || die "$url answered $got, not $1: $(cat "$tmp/body")"
	printf '   %s%s\n' "$got" "$(header Data-Source | sed 's/^./          Data-Source: &/')"
}

# quoted writes arguments as a shell reads them, with the names of the secrets.
quoted() {
	# shellcheck disable=SC2016 # the names are what is wanted
	local argument shopper='$SHOPPER' key='$SHOP_ADMIN_KEY'
	for argument; do
		if [ -n "$SHOPPER" ]; then argument=${argument//"$SHOPPER"/$shopper}; fi
		if [ -n "${SHOP_ADMIN_KEY:-}" ]; then argument=${argument//"$SHOP_ADMIN_KEY"/$key}; fi
		case $argument in
		-*) printf ' \\\n        %s' "$argument" ;;
		*\$SHOP*) printf ' "%s"' "$argument" ;;
		*[!A-Za-z0-9_.:/-]*) printf " '%s'" "$argument" ;;
		*) printf ' %s' "$argument" ;;
		esac
	done
}

# header NAME is of the last answer, and so is field NAME [PATTERN]: the first one of its
# name, a text if there is no pattern. jq would be better at it, and is not everywhere.
header() { grep -i "^$1:" "$tmp/header" | sed 's/^[^:]*: *//' | tr -d '\r' || true; }
field() { fields "$@" | sed -n 1p; }
fields() { find_all "\"$1\":${2:-\"[^\"]*\"}" | sed -e "s/^\"$1\"://" -e 's/^"//' -e 's/"$//'; }
find_all() { grep -oE "$1" "$tmp/body" || true; } # none is no failure

# products are the names of a list with their lowest prices.
products() {
	find_all '"name":"[^"]*","price_range":\{"min":\{"amount":[0-9]+,"currency":"[A-Z]*"' |
		sed -E 's/"name":"([^"]*)".*"amount":([0-9]*)([0-9][0-9]),"currency":"([A-Z]*)"/\1, from \2.\3 \4/'
}

product_slugs() { find_all '"product":\{"id":"[^"]*","slug":"[^"]*"' | sed -e 's/.*"slug":"//' -e 's/"$//'; }

# facets shows each with the values that count most; facet_values NAME are those of one.
facets() { split_facets | awk -F '\t' '++values[$1] <= 3 { printf "   %-12s %3d %s\n", values[$1] == 1 ? $1 : "", $2, $3 }'; }
facet_values() { split_facets | awk -F '\t' -v name="$1" '$1 == name { print $3 }'; }
split_facets() {
	tr '{' '\n' <"$tmp/body" | awk -F '"' -v OFS='\t' '
		$2 == "name" && $6 == "kind" { name = $4 }
		$2 == "value" { gsub(/[^0-9]/, "", $11); print name, $11, $8 }'
}

# pick_variant sets VARIANT, SKU and STOCK to those of a variant of the last answer. The
# shop tells of 99 at most, so with more a sale would not be seen.
pick_variant() {
	local variant
	variant=$(find_all '"id":"[^"]*","sku":"[^"]*","options":\{[^}]*\},"price":\{[^}]*\},"availability":"[a-z_]*","available":[0-9]+' |
		awk -F '"available":' '$2 >= 2 && $2 <= 90' | sed -n 1p)
	VARIANT=$(printf %s "$variant" | sed 's/^"id":"\([^"]*\)".*/\1/')
	SKU=$(printf %s "$variant" | sed 's/.*"sku":"\([^"]*\)".*/\1/')
	STOCK=${variant##*:}
	[ -n "$VARIANT" ]
}

# replicas pause stops replay, replicas resume goes on.
replicas() {
	printf '\n   %s\n' "$PROGRAM cluster $1 --dir $SHOP_CLUSTER_DIR"
	"$PROGRAM" cluster "$1" --dir "$SHOP_CLUSTER_DIR" >/dev/null || die "$PROGRAM could not $1 the replicas of SHOP_CLUSTER_DIR"
	paused=$1
}

finish() {
	if [ "$paused" = pause ]; then replicas resume; fi
	rm -rf "$tmp"
}

now() { printf '%s-%s' "$(date +%s)" $$; }

steps=0 paused='' SHOPPER='' tmp=$(mktemp -d)
trap finish EXIT
command -v curl >/dev/null || die "curl is missing; install it with your system's package manager"

printf 'A tour of the shop at %s.\nEach curl also has -b cookies -c cookies, and so keeps them as a browser does.\n' "$SHOP"
shopper
if [ -n "${SHOP_ADMIN_KEY:-}" ]; then
	back_office
else
	chapter "The back office"
	printf '\nSet SHOP_ADMIN_KEY to the key that make demo printed, to see it.\n'
fi
printf '\nThat was the tour. More to read and to try: %s/docs\n' "$SHOP"
