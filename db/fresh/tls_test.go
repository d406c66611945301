package fresh_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/pgcluster"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, for sslrootcert
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.key = newKey(t)
	a.file = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(a.file, []byte(a.sign(t, a.cert, &a.key.PublicKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, cert *x509.Certificate, key *ecdsa.PublicKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// server returns a certificate and its key for 127.0.0.1, and for no name.
func (a *authority) server(t *testing.T) (cert, key string) {
	t.Helper()
	k := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert = a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &k.PublicKey)
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// verified is what the README recommends.
func (a *authority) verified() string {
	return "sslmode=verify-full&sslrootcert=" + url.QueryEscape(a.file) + "&require_auth=scram-sha-256"
}

// withTLS is a cluster that takes the shop's roles over TLS only. Beside them there is
// a role whose password is kept as MD5, and one that needs none.
func (a *authority) withTLS(t *testing.T) pgcluster.Config {
	t.Helper()
	cert, key := a.server(t)
	config := dbtest.Config()
	config.Replicas = 1
	config.Params = a.verified()
	config.Settings["ssl"] = "on"
	config.InitSQL += `; CREATE ROLE trusted LOGIN IN ROLE shop_ro;
		SET password_encryption = 'md5'; CREATE ROLE weak LOGIN PASSWORD 'hunter2' IN ROLE shop_ro`
	config.Files = map[string]string{
		"server.crt": cert, "server.key": key,
		"pg_hba.conf": `
			hostssl all         trusted    127.0.0.1/32 trust
			hostssl all         weak       127.0.0.1/32 md5
			hostssl all         all        127.0.0.1/32 scram-sha-256
			host    replication replicator 127.0.0.1/32 scram-sha-256
			host    all         postgres   127.0.0.1/32 scram-sha-256`,
	}
	return config
}

// With sslmode=verify-full everything works: reads on replicas, snapshots, reads that
// fall back, transactions, and the monitor, each over TLS. What was asked for and cannot
// be had is refused.
func TestVerifyFull(t *testing.T) {
	own := newAuthority(t)
	b := setupOn(t, dbtest.NewOn(t, own.withTLS(t)))
	b.awaitReplica(t, fresh.Bounded(5*second))
	var n int
	err := b.router.Snapshot(t.Context(), fresh.Any(), func(ctx context.Context, tx fresh.ReadTx) error {
		return tx.QueryRow(ctx, readCounter).Scan(&n)
	})
	if err != nil {
		t.Error(err)
	}
	b.Pause(t)
	if n, served := b.read(t, fresh.Session(), b.add(t)); n != 1 || !served.Primary {
		t.Errorf("n = %d from %+v, want 1 from the primary", n, served)
	}
	b.allOverTLS(t)
	b.refusals(t, own)
}

func (b *bench) allOverTLS(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, n := range b.Cluster.Nodes() {
		rows, err := b.Admin(t, n).Query(t.Context(), `SELECT application_name, ssl AND version = 'TLSv1.3'
			FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name LIKE 'leeway-%'`)
		if err != nil {
			t.Fatal(err)
		}
		var use string
		var secure bool
		_, err = pgx.ForEachRow(rows, []any{&use, &secure}, func() error {
			if !secure {
				t.Errorf("%s on %s is not TLS", use, n.Name())
			}
			seen[use] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]bool{"leeway-read": true, "leeway-fallback": true, "leeway-write": true, "leeway-monitor": true}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("connections: %s", diff)
	}
}

// refusals: such a node serves nothing, and the log says why, once, without the password.
func (b *bench) refusals(t *testing.T, own *authority) {
	tls, plain, another := b.Primary(), dbtest.New(t).Primary(), newAuthority(t)
	for _, test := range []struct {
		name   string
		server *pgcluster.Node
		role   string
		change func(*url.URL)
		says   string
	}{
		{"as it should be", tls, "shop_ro", func(*url.URL) {}, ""},
		{"no TLS", plain, "shop_ro", params(own.verified()), "server refused TLS connection"},
		{"another authority", tls, "shop_ro", params(another.verified()), "certificate signed by unknown authority"},
		{"another name", tls, "shop_ro", func(u *url.URL) { u.Host = "localhost:" + u.Port() }, "certificate is not valid for any names, but wanted to match localhost"},
		{"TLS is not asked for", tls, "shop_ro", params("sslmode=disable"), "no encryption"},
		{"MD5", tls, "weak", func(u *url.URL) { u.User = url.UserPassword("weak", "hunter2") }, "server requested md5 authentication"},
		{"MD5, not refused", tls, "weak", func(u *url.URL) {
			u.User = url.UserPassword("weak", "hunter2")
			params(strings.Replace(own.verified(), "&require_auth=scram-sha-256", "", 1))(u)
		}, ""},
		{"trust", tls, "trusted", func(*url.URL) {}, "server did not complete authentication"},
		{"trust, not refused", tls, "trusted", params(strings.Replace(own.verified(), "&require_auth=scram-sha-256", "", 1)), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.server.DSN(test.role))
			if err != nil {
				t.Fatal(err)
			}
			test.change(u)
			password, _ := u.User.Password()
			log := observe(t, u.String())
			if test.says == "" {
				if !strings.Contains(log, "node answers") {
					t.Errorf("a good server is refused: %s", log)
				}
				return
			}
			if !strings.Contains(log, "node does not answer") || !strings.Contains(log, test.says) {
				t.Errorf("the log does not say %q: %s", test.says, log)
			}
			if password != "" && strings.Contains(log, password) || strings.Contains(log, "postgres://") {
				t.Errorf("the log has a secret: %s", log)
			}
		})
	}
}

func params(query string) func(*url.URL) { return func(u *url.URL) { u.RawQuery = query } }

// observe is what a router logs of a node until it knows whether that answers. A node
// that does not is the primary for nobody.
func observe(t *testing.T, dsn string) string {
	t.Helper()
	log := &lines{}
	router, err := fresh.New(fresh.Config{
		Nodes: []fresh.NodeConfig{{Name: "node", WriteDSN: dsn, ReadDSN: dsn}},
		Log:   slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer dbtest.CloseRouter(t, router)
	dbtest.Eventually(t, "the node was asked", func() bool { return strings.Contains(log.String(), "answer") })
	if up := router.Status().Nodes[0].Up; up != strings.Contains(log.String(), "node answers") {
		t.Errorf("up: %v", up)
	}
	if !router.Status().Nodes[0].Up {
		err := router.Write(t.Context(), func(context.Context, fresh.WriteTx) error { return nil })
		if err == nil {
			t.Error("a transaction on a server that was refused")
		}
	}
	return log.String()
}

// lines is a log that several goroutines write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
