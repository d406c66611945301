package main

import (
	"strings"
	"testing"

	"example.com/leeway/internal/dbtest"
	"example.com/leeway/migrations"
)

// A database without a schema, or with an older one, makes a shop that is not ready
// and says what to do; when that is done it is ready, without a restart.
func TestReadinessWaitsForTheSchema(t *testing.T) {
	env := dbtest.NewEmpty(t)
	flags := testFlags(t)
	flags.nodeFlags = flagsOf(env.Config().Nodes)
	migrate := func(verb string) {
		t.Helper()
		var out buffer
		if code := run(t.Context(), []string{"migrate", verb, "--dsn", env.DSN(env.Primary(), "shop_owner")}, &app{&out, &out}); code != 0 {
			t.Fatalf("migrate %s: exit %d\n%s", verb, code, out.String())
		}
	}
	set, err := flags.settings()
	if err != nil {
		t.Fatal(err)
	}
	open := func() string {
		t.Helper()
		s, err := newServer(set, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		return listenAndServe(t, s)
	}
	ready := func(url string) bool { return send(t, "GET", url+"/readyz", nil).field("status") == "ready" }
	refuses := func(url string) bool {
		a := send(t, "GET", url+"/readyz", nil)
		if a.status == 200 {
			t.Fatalf("ready: %s", a.body)
		}
		return a.field("code") == "not_ready" && a.header.Get("Retry-After") != "" && strings.Contains(a.field("detail"), "shop migrate up")
	}
	first := open()
	dbtest.Eventually(t, "the shop asks for a schema", func() bool { return refuses(first) })
	if a := send(t, "GET", first+"/healthz", nil); a.status != 200 {
		t.Errorf("healthz: %d, so that the process is restarted for nothing", a.status)
	}
	if a := send(t, "GET", first+"/v1/products", nil); a.status != 503 || a.field("code") != "database_unavailable" {
		t.Errorf("the list without a schema: %d %s", a.status, a.body)
	}
	migrate("up")
	dbtest.Eventually(t, "the shop finds its schema", func() bool { return ready(first) })
	if a := send(t, "GET", first+"/v1/products", nil); a.status != 200 {
		t.Errorf("the list: %d %s", a.status, a.body)
	}

	// As a program sees it that has one migration more than the database.
	version := func(sql string) {
		t.Helper()
		if _, err := env.Admin(t, env.Primary()).Exec(t.Context(), sql, migrations.Needed()); err != nil {
			t.Fatal(err)
		}
	}
	version("DELETE FROM goose_db_version WHERE version_id = $1")
	env.CatchUp(t)
	second := open()
	dbtest.Eventually(t, "the shop asks for a newer schema", func() bool { return refuses(second) })
	version("INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)")
	dbtest.Eventually(t, "the shop finds the newer schema", func() bool { return ready(second) })
}

// Without a primary a replica tells, and the shop serves what it can.
func TestReadinessWithoutAPrimary(t *testing.T) {
	s := newShop(t)
	s.CatchUp(t)
	t.Cleanup(func() { dbtest.Do(t, s.Primary().Thaw) })
	dbtest.Do(t, s.Primary().Freeze)
	second, err := newServer(s.settings, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	url := listenAndServe(t, second)
	dbtest.Eventually(t, "a shop that starts without a primary is ready to be browsed", func() bool {
		return send(t, "GET", url+"/readyz", nil).field("status") == "degraded"
	})
}
