//go:build !linux

package pgcluster

import (
	"os/exec"
	"strconv"
	"strings"
)

// serverProcs lists the live processes of the server on a data folder: the
// postmaster of postmaster.pid, if that pid still runs on this folder, and all
// below it. Orphans of a postmaster that died alone are not found here.
func serverProcs(data string) ([]proc, error) {
	root := readPidFile(data)
	if root == 0 {
		return nil, nil
	}
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=,command=").Output()
	if err != nil {
		return nil, err
	}
	var all []proc
	ours := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[2], "Z") {
			continue
		}
		pid, _ := strconv.Atoi(f[0])
		ppid, _ := strconv.Atoi(f[1])
		all = append(all, proc{pid: pid, ppid: ppid, stopped: strings.HasPrefix(f[2], "T")})
		// A pid may have been given to a stranger since.
		if pid == root && strings.Contains(line, data) {
			ours[pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.ppid] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	var procs []proc
	for _, p := range all {
		if ours[p.pid] {
			procs = append(procs, p)
		}
	}
	return procs, nil
}

// processTitle is what the process calls itself, as "postgres: replica-1: startup
// recovering 000000010000000000000003".
func processTitle(pid int) string {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out)) + " "
}
