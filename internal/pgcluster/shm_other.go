//go:build !linux

package pgcluster

// releaseShm: elsewhere the next start of the data folder cleans up.
func releaseShm(string) {}
