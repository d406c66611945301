# Cleans up after a killed owner: $1 = the cluster's folder, $2 = keep or remove.
# Standard input is a pipe: "done" is an orderly end, end-of-file a killed owner.
trap '' HUP INT TERM
read -r word
[ "$word" = done ] && exit 0

# pids DATA: the server's processes. Through /proc by working folder, because the
# children have sessions of their own; elsewhere the postmaster and its children.
pids() {
	if [ -e /proc/self/cwd ]; then
		for p in /proc/[0-9]*; do
			read -r comm <"$p/comm" && [ "$comm" = postgres ] && [ "$p/cwd" -ef "$1" ] && echo "${p#/proc/}"
		done
	else
		pm=$(postmaster "$1") && echo "$pm" && ps -A -o pid=,ppid= | awk -v p="$pm" '$2 == p { print $1 }'
	fi
}

# postmaster DATA: its pid, unless that pid now belongs to a stranger.
postmaster() {
	read -r pm <"$1/postmaster.pid" || return 1
	if [ -e /proc/self/cwd ]; then
		[ "/proc/$pm/cwd" -ef "$1" ] || return 1
	else
		case $(ps -o command= -p "$pm") in *"$1"*) ;; *) return 1 ;; esac
	fi
	echo "$pm"
}

# end DATA: thaw, ask, wait up to 2 s (5 s to keep its data), kill.
end() {
	tries=20 ask=QUIT
	[ "$2" = keep ] && tries=50 ask=INT
	for pid in $(pids "$1"); do kill -CONT "$pid"; done
	pm=$(postmaster "$1") && kill -"$ask" "$pm"
	while [ -n "$(pids "$1")" ]; do
		[ $tries -gt 0 ] || for pid in $(pids "$1"); do kill -KILL "$pid"; done
		tries=$((tries - 1))
		sleep 0.1
	done
	[ -e "$1/postmaster.pid" ] && ipcrm -m "$(sed -n '7s/.* //p' "$1/postmaster.pid")"
}

for data in "$1"/*/; do end "${data%/}" "$2" & done
wait
# A tool that was copying data ends only when it notices that its server is gone.
tries=50
while [ "$2" = remove ] && [ -e "$1" ] && [ $tries -gt 0 ]; do
	rm -rf -- "$1" || sleep 0.1
	tries=$((tries - 1))
done
exit 0
