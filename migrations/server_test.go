package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/leeway/migrations"
)

// shopDatabase is one with the roles' grants and the schema.
func shopDatabase(t *testing.T, name string) (admin *pgx.Conn, dsnOf func(role string) string) {
	t.Helper()
	dsnOf = foreignDatabase(t, name)
	admin = connect(t, dsnOf("postgres"))
	exec(t, admin, migrations.RolesSQL)
	if _, err := migrations.Up(t.Context(), dsnOf("shop_owner")); err != nil {
		t.Fatal(err)
	}
	return admin, dsnOf
}

// What no role may do, the owner of the schema neither: to the server, to other roles, to
// files and programs; and what no role may read.
func TestNoRoleRulesTheServer(t *testing.T) {
	_, dsnOf := shopDatabase(t, "server")
	forbidden := map[string][]string{
		"everybody": {
			"SET ROLE postgres", "SET ROLE shop_owner", "SET ROLE shop_rw", "SET ROLE replicator", "SET ROLE pg_monitor",
			"SET SESSION AUTHORIZATION postgres", "SET session_replication_role = replica",
			"CREATE ROLE mine", "ALTER ROLE shop_ro SUPERUSER", "ALTER ROLE shop_rw CONNECTION LIMIT -1", "ALTER ROLE postgres PASSWORD 'x'",
			"DROP ROLE replicator", "GRANT pg_monitor TO shop_rw", "GRANT shop_owner TO shop_ro", "GRANT pg_write_all_data TO shop_ro",
			"CREATE DATABASE mine", "ALTER DATABASE postgres SET work_mem = '1GB'", "DROP DATABASE postgres", "CREATE TABLESPACE mine LOCATION '/tmp'",
			"ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()", "SELECT pg_promote()",
			"SELECT pg_wal_replay_pause()", "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('mine')",
			"SELECT pg_create_physical_replication_slot('mine')", "SELECT pg_drop_replication_slot('replica_1')", "SELECT pg_terminate_backend(%d)",
			"COPY (SELECT 1) TO PROGRAM 'true'", "COPY pg_temp.mine FROM PROGRAM 'true'", "COPY (SELECT 1) TO '/tmp/mine'",
			"SELECT pg_read_file('postgresql.conf')", "SELECT pg_ls_dir('.')", "SELECT lo_import('/etc/passwd')", "LOAD 'auto_explain'",
			"CREATE TEMPORARY TABLE mine ()", "SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, '')",
			"SELECT pg_logical_emit_message(false, 'mine', 'x')",
			"CREATE FUNCTION mine() RETURNS int LANGUAGE internal AS 'int4in'", "CREATE EXTENSION dblink", "CREATE FOREIGN DATA WRAPPER mine",
			"CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION analyze_catalog()", "CREATE PUBLICATION mine FOR ALL TABLES",
			"SELECT FROM pg_authid", "SELECT FROM pg_shadow", "SELECT FROM pg_statistic", "SELECT FROM pg_hba_file_rules",
			"SHOW primary_conninfo", "SHOW data_directory", "ALTER TABLE pg_class ADD COLUMN mine int",
		},
		"all but the owner": {
			"CREATE TABLE public.mine ()", "CREATE SCHEMA mine", "CREATE SEQUENCE public.mine", "CREATE TYPE public.mine AS ENUM ()",
			"CREATE VIEW public.mine AS SELECT 1", "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE DOMAIN public.mine AS int",
			"CREATE OPERATOR public.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)", "CREATE EXTENSION citext",
			"ALTER SCHEMA public RENAME TO mine", "DROP SCHEMA public CASCADE",
			"DROP EXTENSION pg_trgm CASCADE", "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT ALL ON TABLES TO PUBLIC",
			"DO 'BEGIN EXECUTE format(''ALTER DATABASE %I SET work_mem = 1000'', current_database()); END'", "DROP OWNED BY shop_owner", "REASSIGN OWNED BY shop_owner TO CURRENT_USER",
		},
	}
	victim := connect(t, dsnOf("postgres"))
	for _, role := range migrations.Roles {
		conn := connect(t, dsnOf(role))
		exec(t, conn, "SET default_transaction_read_only = off")
		statements := forbidden["everybody"]
		if role != "shop_owner" {
			statements = append(statements, forbidden["all but the owner"]...)
		}
		for _, sql := range statements {
			if sql == "SET ROLE "+role { // to itself
				continue
			}
			if sql == "SELECT pg_terminate_backend(%d)" {
				sql = fmt.Sprintf(sql, victim.PgConn().PID())
			}
			if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); code(err) != "42501" {
				t.Errorf("%s: %s: %v, want 42501", role, sql, err)
			}
		}
	}
}

// replicator streams, and has no business in the shop's database.
func TestReplicatorDoesNotConnect(t *testing.T) {
	_, dsnOf := shopDatabase(t, "streams")
	_, err := pgx.Connect(t.Context(), dsnOf("replicator"))
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
		t.Errorf("%v, want 42501", err)
	}
	stream, err := pgconn.Connect(t.Context(), dsnOf("replicator")+"&replication=true")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	if _, err := stream.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil {
		t.Error(err)
	}
}

// The limits that each role's sessions begin with.
func TestRolesHaveLimits(t *testing.T) {
	admin, dsnOf := shopDatabase(t, "limits")
	for role, want := range map[string]map[string]string{
		"shop_owner": {"lock_timeout": "5s", "idle_in_transaction_session_timeout": "1min", "statement_timeout": "0"},
		"shop_rw":    {"lock_timeout": "2s", "idle_in_transaction_session_timeout": "10s", "statement_timeout": "5s"},
		"shop_ro": {
			"lock_timeout": "1s", "idle_in_transaction_session_timeout": "5s", "statement_timeout": "3s",
			"default_transaction_read_only": "on",
		},
	} {
		want["search_path"] = "public, pg_temp"
		got, conn := map[string]string{}, connect(t, dsnOf(role))
		for setting := range want {
			var value string
			if err := conn.QueryRow(t.Context(), "SHOW "+setting).Scan(&value); err != nil {
				t.Fatal(err)
			}
			got[setting] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
	var all, room, owners int
	err := admin.QueryRow(t.Context(), `SELECT sum(rolconnlimit), min(rolconnlimit) FILTER (WHERE rolname = 'shop_owner'),
			current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
		FROM pg_roles WHERE rolname IN ('shop_owner', 'shop_rw', 'shop_ro')`).Scan(&all, &owners, &room)
	if err != nil || owners < 1 || all > room {
		t.Fatalf("the roles may have %d connections, the owner %d of them, of %d; %v", all, owners, room, err)
	}
	// A role that has taken its share is refused, and the others are not.
	var refused error
	for range owners + 1 {
		conn, err := pgx.Connect(t.Context(), dsnOf("shop_owner"))
		if err != nil {
			refused = err
			break
		}
		defer conn.Close(context.Background())
	}
	if pg, ok := errors.AsType[*pgconn.PgError](refused); !ok || pg.Code != "53300" {
		t.Errorf("a connection beyond the %d of the owner: %v, want 53300", owners, refused)
	}
	connect(t, dsnOf("shop_ro"))
}
