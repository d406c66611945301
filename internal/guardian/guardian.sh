# Cleans up after a killed owner: $1 is the folder of its run.
# Standard input is a pipe: "done" is an orderly end, end-of-file a killed owner.
trap '' HUP INT TERM
read -r word
[ "$word" = 'done' ] && exit 0

# below: the processes that work in the folder.
below() {
	for p in /proc/[0-9]*; do
		case $(readlink "$p/cwd") in "$1" | "$1"/*) echo "${p#/proc/}" ;; esac
	done
}

# Again until there is none: what is killed may just have started another one.
tries=100
while pids=$(below "$1") && [ -n "$pids" ] && [ $tries -gt 0 ]; do
	for pid in $pids; do kill -KILL "$pid"; done
	sleep 0.1
	tries=$((tries - 1))
done
# The shared memory of a PostgreSQL server outlives it; its pid file says which.
find "$1" -name postmaster.pid | while read -r file; do
	ipcrm -m "$(sed -n '7s/.* //p' "$file")"
done
tries=20
while [ -e "$1" ] && [ $tries -gt 0 ]; do
	rm -rf -- "$1" || sleep 0.1
	tries=$((tries - 1))
done
