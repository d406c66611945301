//go:build !linux

package fresh

import "syscall"

func setUserTimeout(string, string, syscall.RawConn) error { return nil }
