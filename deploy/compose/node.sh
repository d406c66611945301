#!/usr/bin/env bash
# One PostgreSQL server of docker-compose.yml: its entrypoint, and the steps of a failover.
#
#   node.sh [start [-c setting=value ...]]   the container's command
#   node.sh status | promote | pause | resume             in a running container
#   node.sh follow PEER          in a running standby: stream from PEER from now on
#   node.sh rejoin PEER          in a stopped one: pg_rewind, then a standby of PEER
#   node.sh rebuild PEER         in a stopped one: a new base backup of PEER
#
# A PEER is host or host:port. It needs PGDATA, NODE (the name of this server), PEERS (the
# others) and REPLICATOR_PASSWORD_FILE. NODE_CREATES=yes is for the one server that makes
# the cluster when there is none yet; which is the primary later is up to the data.
set -euo pipefail
: "${PGDATA:?}" "${NODE:?}" "${REPLICATOR_PASSWORD_FILE:?}"

say() { printf 'node.sh: %s: %s\n' "$NODE" "$*" >&2; }
die() { say "$@"; exit 1; }
local_sql() { psql -X -At -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres "$@"; }

# libpq ignores a password file that others may read, and a mounted secret is one. It
# lies beside the data, in the volume, because primary_conninfo names it.
passfile="$(dirname "$PGDATA")/replicator.pgpass"
write_passfile() {
	mkdir -p "$(dirname "$passfile")"
	(umask 077 && printf '*:*:*:replicator:%s\n' "$(sed 's/[\\:]/\\&/g' "$REPLICATOR_PASSWORD_FILE")" >"$passfile.new")
	mv "$passfile.new" "$passfile"
}

# conninfo PEER: how to reach it, as it is also stored in the data folder. No password in
# it. And no application_name: pg_basebackup -S confirms what it receives, under that
# name, so that a commit could be acknowledged whose only copy is a backup in the making.
# A standby goes by its cluster_name anyway.
conninfo() {
	local host=${1%%:*} port=5432
	case $1 in *:*) port=${1##*:} ;; esac
	printf "host=%s port=%s user=replicator passfile=%s connect_timeout=2" "$host" "$port" "$passfile"
}
ask() { # PEER SQL
	psql -X -At -v ON_ERROR_STOP=1 -d "$(conninfo "$1") dbname=postgres" -c "$2"
}

# find_primary prints the peer that accepts writes, if one does.
find_primary() {
	local peer
	for peer in ${PEERS:-}; do
		if [ "$(ask "$peer" 'SELECT NOT pg_is_in_recovery()' 2>/dev/null)" = t ]; then
			printf '%s\n' "$peer"
			return
		fi
	done
}

# only_one: from here on nothing else works on the data. The lock is held through exec, so
# for as long as the server or any of its processes lives, and ends with them. A pid file
# does not tell: each container counts its own processes, and all servers are number 1.
only_one() {
	mkdir -p "$(dirname "$PGDATA")"
	exec 9>"$(dirname "$PGDATA")/in-use"
	flock -n 9 || die "it is running: docker compose stop $NODE"
}

slot="${NODE//-/_}" # a slot's name has no hyphens
has_slot() { [ "$(ask "$1" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$slot'")" = 1 ]; }

# base_backup PEER: a copy of it that is a standby of it. It is made beside the data and
# moved there whole: half a copy looks like data to the next start.
base_backup() {
	say "base backup of $1"
	local create=(-C) # a slot from the first byte on, so that no WAL is missing in between
	if has_slot "$1"; then create=(); fi
	rm -rf "$PGDATA.new"
	pg_basebackup -d "$(conninfo "$1")" -D "$PGDATA.new" -R "${create[@]}" -S "$slot" -X stream -c fast
	rm -rf "$PGDATA"
	mv "$PGDATA.new" "$PGDATA"
}

# The settings are given on the command line, where ALTER SYSTEM cannot change them, and
# are the same on every node: each may become the primary.
settings=(
	-c "cluster_name=$NODE" # the application_name, too, by which a primary knows its standby
	-c "synchronous_standby_names=${SYNCHRONOUS_STANDBY_NAMES:-}"
	-c wal_level=replica
	-c max_wal_senders=10
	-c max_replication_slots=10
	-c max_slot_wal_keep_size=1GB # a standby that never comes back must not fill the disk
	-c wal_keep_size=256MB        # for pg_rewind, which reads WAL without a slot
	-c hot_standby_feedback=on
	-c max_standby_streaming_delay=5s       # above the 3 s that the shop's reads may take
	-c wal_receiver_status_interval=1s
	-c wal_retrieve_retry_interval=200ms    # else a standby asks a new primary after 5 s
)

start() {
	only_one
	write_passfile
	rm -rf "$PGDATA.new" # of a copy that was interrupted
	local primary
	primary=$(find_primary)
	if [ -s "$PGDATA/PG_VERSION" ]; then
		# It was killed as the primary, and another one was promoted since: starting it
		# as it is would make two.
		if [ -n "$primary" ] && [ ! -e "$PGDATA/standby.signal" ]; then
			die "$primary is the primary. Make this node its standby: docker compose run --rm $NODE rejoin $primary"
		fi
	elif [ -n "$primary" ]; then
		base_backup "$primary"
	elif [ "${NODE_CREATES:-}" = yes ]; then
		create
	else
		say "waiting for a primary among $PEERS"
		until primary=$(find_primary) && [ -n "$primary" ]; do sleep 1; done
		base_backup "$primary"
	fi
	exec docker-entrypoint.sh postgres "${settings[@]}" "$@"
}

# create makes the cluster, with the image's own means. The settings are left out: with
# synchronous_standby_names the first CREATE DATABASE would wait for a standby for ever.
create() {
	local peer
	for peer in $PEERS; do
		if pg_isready -q -t 2 -h "${peer%%:*}" -p "$(port_of "$peer")"; then
			die "$peer is there, and no primary: this node has lost its data. Promote a standby; making a new cluster here would be another shop"
		fi
	done
	docker-ensure-initdb.sh postgres
}
port_of() { case $1 in *:*) printf '%s' "${1##*:}" ;; *) printf 5432 ;; esac; }

# status asks a walsender for the timeline of what was replayed, and how much of it is here.
# The control file may name an older one for minutes after a failover; the stream and the
# files of WAL name a newer one also on a standby that crashed past the fork.
status() {
	local timeline received told
	told=$(local_sql -F ' ' -d 'dbname=postgres replication=database' -c IDENTIFY_SYSTEM)
	read -r _ timeline received _ <<<"$told"
	local_sql -F ' ' -v "timeline=$timeline" -v "received=$received" <<-'SQL'
		SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END, 'timeline', :'timeline', 'received', :'received',
			'follows', coalesce((SELECT sender_host || ':' || sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming'), 'nobody')
	SQL
}

# promote ends with a checkpoint: pg_rewind reads a source's timeline from its control
# file, and that is the old one until then.
promote() {
	[ "$(local_sql -c 'SELECT pg_promote()')" = t ] || die "was not promoted within a minute"
	local_sql -c CHECKPOINT >/dev/null
	say "is the primary; tell the others: node.sh follow $NODE"
}

# follow PEER: takes effect on a reload. A standby that has received more than its new
# primary's history holds is not taken by it: rejoin it.
follow() {
	has_slot "$1" || ask "$1" "SELECT pg_create_physical_replication_slot('$slot')" >/dev/null
	local_sql -v "to=$(conninfo "$1")" -v "slot=$slot" <<-'SQL' >/dev/null
		ALTER SYSTEM SET primary_conninfo = :'to';
		ALTER SYSTEM SET primary_slot_name = :'slot';
		SELECT pg_reload_conf();
	SQL
	local tries=150
	until [ "$(local_sql -v "host=${1%%:*}" -v "port=$(port_of "$1")" <<-'SQL'
		SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND sender_host = :'host' AND sender_port = :'port'
		SQL
	)" = 1 ]; do
		((tries-- > 0)) || die "does not stream from $1: if it has more than $1, rejoin it"
		sleep 0.1
	done
	say "streams from $1"
}

rejoin() {
	only_one
	write_passfile
	local mine theirs # the first eight digits of a file of WAL are its timeline
	mine=$(find "$PGDATA/pg_wal" -type f -name '????????????????????????' -printf '%f\n' | sort | tail -n 1 | cut -c 1-8)
	theirs=$(ask "$1" 'SELECT left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)') || die "$1 is no primary"
	# A primary that was promoted later is down, and what it acknowledged may be here alone.
	[[ ! $mine > $theirs ]] || die "has log of timeline $mine, and $1 is on $theirs: stop that one and start the one that was promoted last; to give up what is newer, rebuild"
	has_slot "$1" || ask "$1" "SELECT pg_create_physical_replication_slot('$slot')" >/dev/null
	ask "$1" CHECKPOINT >/dev/null # see promote
	rm -f "$PGDATA/standby.signal" # after a crash pg_rewind first recovers, which it refuses a standby
	if ! pg_rewind -D "$PGDATA" --source-server="$(conninfo "$1") dbname=postgres"; then
		touch "$PGDATA/standby.signal" # whatever it is now, it must not start as a primary
		die "cannot be rewound: docker compose run --rm $NODE rebuild $1"
	fi
	# The settings of the other node came along; the last of two lines counts.
	{
		printf "primary_conninfo = '%s'\n" "$(conninfo "$1")"
		printf "primary_slot_name = '%s'\n" "$slot"
	} >>"$PGDATA/postgresql.auto.conf"
	rm -rf "$PGDATA"/pg_replslot/* # from its time as the primary: they would retain WAL for ever
	touch "$PGDATA/standby.signal"
	say "will be a standby of $1: docker compose up -d $NODE"
}

rebuild() {
	only_one
	write_passfile
	base_backup "$1"
	say "will be a standby of $1: docker compose up -d $NODE"
}

pause() { local_sql -c 'SELECT pg_wal_replay_pause()' >/dev/null && say "stops replaying"; }
resume() { local_sql -c 'SELECT pg_wal_replay_resume()' >/dev/null && say "replays again"; }

verb=${1:-start}
[ $# -eq 0 ] || shift
case $verb in
start | status | promote | pause | resume) "$verb" "$@" ;;
follow | rejoin | rebuild)
	[ $# -eq 1 ] || die "$verb whom? one of: $PEERS"
	"$verb" "$1"
	;;
*) die "there is no $verb; read the head of this script" ;;
esac
