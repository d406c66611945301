#!/bin/sh
# Makes the passwords and keys of docker-compose.yml, each once: what is there stays.
# usage: secrets.sh [FOLDER]
set -eu
dir=${1:-$(dirname "$0")/secrets}
mkdir -p "$dir"
chmod 700 "$dir"
umask 022 # the files are read by the containers' users; the folder is what keeps others out

# keep NAME: writes standard input, unless the file is there.
keep() { if [ -s "$dir/$1" ]; then cat >/dev/null; else cat >"$dir/$1"; fi; }
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; } # hexadecimal: nothing to quote anywhere

for name in postgres replicator shop_owner shop_rw shop_ro; do
	random | keep "${name}_password"
done
random | keep grafana_password
# 32 bytes; the same for every process of the shop.
head -c 32 /dev/urandom | base64 | tr -d '\n' | keep token_key

# One file with the shop's three passwords, as libpq and the shop's driver read it.
for role in shop_owner shop_rw shop_ro; do
	printf '*:*:shop:%s:%s\n' "$role" "$(cat "$dir/${role}_password")"
done >"$dir/pgpass"
echo "secrets are in $dir"
