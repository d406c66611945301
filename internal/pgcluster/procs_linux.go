package pgcluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// serverProcs lists the live processes of the server on a data folder. They are
// found by their working folder: the children call setsid, so no process group
// holds them all, and those of a postmaster that died alone have another parent.
// A zombie has no working folder and so counts as gone.
func serverProcs(data string) ([]proc, error) {
	want, err := os.Stat(data)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, err
	}
	var procs []proc
	for _, comm := range comms {
		dir := filepath.Dir(comm)
		if name, err := os.ReadFile(comm); err != nil || strings.TrimSpace(string(name)) != "postgres" {
			continue
		}
		if cwd, err := os.Stat(dir + "/cwd"); err != nil || !os.SameFile(cwd, want) {
			continue
		}
		if p, ok := readProc(dir); ok {
			procs = append(procs, p)
		}
	}
	return procs, nil
}

// readProc parses proc_pid_stat(5): pid (comm) state ppid ...
func readProc(dir string) (proc, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return proc{}, false // it ended meanwhile
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil || len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return proc{}, false
	}
	ppid, err := strconv.Atoi(fields[1])
	return proc{pid: pid, ppid: ppid, stopped: fields[0] == "T"}, err == nil
}

// processTitle is what the process calls itself, as "postgres: replica-1: startup
// recovering 000000010000000000000003".
func processTitle(pid int) string {
	title, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return ""
	}
	return string(title) + " "
}
