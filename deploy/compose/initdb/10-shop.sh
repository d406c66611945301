#!/usr/bin/env bash
# Runs once, on the node that makes the cluster, in the shop's database and before the
# server listens on the network. The standbys get all of it with their base backup.
set -euo pipefail

read_secret() { tr -d '\n' <"$1"; }
OWNER=$(read_secret "$SHOP_OWNER_PASSWORD_FILE") RW=$(read_secret "$SHOP_RW_PASSWORD_FILE")
RO=$(read_secret "$SHOP_RO_PASSWORD_FILE") REPLICATOR=$(read_secret "$REPLICATOR_PASSWORD_FILE")
export OWNER RW RO REPLICATOR

sql() { psql -X -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$1"; }

# The roles, by the file that the program carries. \getenv, because an argument of psql
# could be read from the list of processes.
{
	cat "$ROLES_SQL"
	cat <<-'SQL'
		\getenv owner OWNER
		\getenv rw RW
		\getenv ro RO
		\getenv replicator REPLICATOR
		ALTER ROLE shop_owner PASSWORD :'owner';
		ALTER ROLE shop_rw PASSWORD :'rw';
		ALTER ROLE shop_ro PASSWORD :'ro';
		ALTER ROLE replicator PASSWORD :'replicator';
	SQL
} | sql "$POSTGRES_DB" >/dev/null

# What pg_rewind wants of the role by which it reads the new primary (manual, pg_rewind,
# Notes), so that no superuser is needed over the network. Grants on functions belong to
# one database: that is the one that it connects to.
sql postgres <<-'SQL' >/dev/null
	GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
		pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
	GRANT pg_checkpoint TO replicator;
SQL

# "all" in pg_hba does not mean replication. samenet: this network and no other.
echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
