package pgcluster

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseShm removes the System V segment that a killed server leaves behind. It
// is tiny, but a machine has only 4096 of them, and test suites kill many
// servers. The next start of the same data folder would do it as well.
func releaseShm(data string) {
	text, err := os.ReadFile(data + "/postmaster.pid") // an orderly end removes it
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	fields := strings.Fields(lines[6]) // key and id, miscadmin.h LOCK_FILE_LINE_SHMEM_KEY
	if len(fields) != 2 {
		return
	}
	if id, err := strconv.Atoi(fields[1]); err == nil {
		const ipcRmid = 0
		_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), ipcRmid, 0)
	}
}
