#!/usr/bin/env bash
# Stops replay on one standby after the other, for 8 s each, with 4 s of peace in between:
# a third of the time everybody is fresh. Look at Data-Source, /v1/replication or Grafana.
# It needs PEERS and PGPASSWORD_FILE, a superuser's; ROUNDS ends it after so many.
set -euo pipefail
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD PGCONNECT_TIMEOUT=2

sql() { # PEER SQL
	local host=${1%%:*} port=5432
	case $1 in *:*) port=${1##*:} ;; esac
	psql -X -At -v ON_ERROR_STOP=1 -h "$host" -p "$port" -U postgres -d postgres -c "$2"
}
is_standby() { [ "$(sql "$1" 'SELECT pg_is_in_recovery()' 2>/dev/null)" = t ]; }
say() { printf '%s %s\n' "$(date +%T)" "$*"; }

paused=
# Whatever ends this script, nothing stays paused.
trap '[ -z "$paused" ] || sql "$paused" "SELECT pg_wal_replay_resume()" >/dev/null' EXIT
trap 'exit 0' INT TERM

for ((round = 0; round < ${ROUNDS:-1000000}; round++)); do
	for peer in $PEERS; do
		is_standby "$peer" || continue
		sql "$peer" 'SELECT pg_wal_replay_pause()' >/dev/null || continue
		paused=$peer
		say "$peer stops replaying"
		sleep "${PAUSE:-8}" & # a signal is handled at once while it waits
		wait $!
		sql "$peer" 'SELECT pg_wal_replay_resume()' >/dev/null
		paused=
		say "$peer replays again"
		sleep "${PEACE:-4}" &
		wait $!
	done
done
