#!/usr/bin/env bash
# Stands in for the script of that name in the official image, where there is no image: a
# cluster with the shop's database, made by a server that listens on a socket only, and
# with the settings that it is given. LEEWAY_POSTGRES_IMAGE has the tests run the real
# one; see compose_test.go.
set -euo pipefail
[ "$1" = postgres ] && shift
mkdir -p "$PGDATA"
chmod 700 "$PGDATA"
eval "initdb -D \"\$PGDATA\" --username=postgres --pwfile=\"\$POSTGRES_PASSWORD_FILE\" $POSTGRES_INITDB_ARGS" >/dev/null
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
pg_ctl -D "$PGDATA" -w start -o "$(printf '%q ' "$@" -c listen_addresses= -c "unix_socket_directories=$PGHOST" -p "$PGPORT")" >/dev/null
export POSTGRES_USER=postgres
psql -X -U postgres -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\"" >/dev/null
for script in "$INITDB_D"/*.sh; do
	[ -x "$script" ] # else the image would source it
	"$script"
done
pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
