package main

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/db/fresh"
)

// unverified names the nodes on other machines whose certificates are not checked. The
// driver's default is to try TLS with whoever answers, and to go on without it: whoever
// is on the way can read and change everything.
func unverified(nodes []fresh.NodeConfig) (names []string) {
	for _, n := range nodes {
		if !verified(n.WriteDSN) || !verified(n.ReadDSN) {
			names = append(names, n.Name)
		}
	}
	return names
}

func verified(dsn string) bool {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil || isHere(config.Host) { // what cannot be parsed was reported
		return true
	}
	ok := checks(config.TLSConfig)
	for _, f := range config.Fallbacks { // the same host in another way
		ok = ok && checks(f.TLSConfig)
	}
	return ok
}

// checks wants verify-full: with verify-ca any server of the authority can be any other.
func checks(config *tls.Config) bool { return config != nil && !config.InsecureSkipVerify }

// isHere: a socket, or this machine.
func isHere(host string) bool {
	ip, _ := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip.IsLoopback()
}
