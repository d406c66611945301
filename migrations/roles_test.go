package migrations_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the two roles of the program may do with each table, sequence and function; with
// what is not named here, nothing. The owner may do everything with these, and
// replicator does not even connect.
//
// shop_ro reads the digests of tokens, because reads look for carts by them. They are
// SHA-256 of 256 random bits: nobody gets from one to a token.
const grants = `
categories       | shop_rw | SELECT INSERT DELETE UPDATE(parent_id,slug,name,position,product_count,revision,version,updated_at)
products         | shop_rw | SELECT INSERT UPDATE(category_id,slug,name,description,options,status,price_min,price_max,in_stock,option_tags,revision,version,updated_at)
variants         | shop_rw | SELECT INSERT UPDATE(sku,options,price,stock_quantity,active,revision,version,updated_at)
shoppers         | shop_rw | SELECT INSERT
carts            | shop_rw | SELECT INSERT UPDATE(status,version,updated_at)
cart_lines       | shop_rw | SELECT INSERT DELETE UPDATE(quantity,unit_price)
orders           | shop_rw | SELECT INSERT UPDATE(status,version,updated_at)
order_lines      | shop_rw | SELECT INSERT
order_history    | shop_rw | SELECT INSERT
payments         | shop_rw | SELECT INSERT
stock_movements  | shop_rw | SELECT INSERT
idempotency_keys | shop_rw | SELECT INSERT DELETE UPDATE(status,response,replayed_at)
search_words     | shop_rw | SELECT INSERT
goose_db_version | shop_rw | SELECT

categories       | shop_ro | SELECT
products         | shop_ro | SELECT
variants         | shop_ro | SELECT
shoppers         | shop_ro | SELECT
carts            | shop_ro | SELECT
cart_lines       | shop_ro | SELECT
orders           | shop_ro | SELECT
order_lines      | shop_ro | SELECT
order_history    | shop_ro | SELECT
stock_movements  | shop_ro | SELECT
search_words     | shop_ro | SELECT
goose_db_version | shop_ro | SELECT

analyze_catalog        | shop_rw | EXECUTE
keep_product_summaries | shop_rw | EXECUTE
keep_category_counts   | shop_rw | EXECUTE
keep_search_words      | shop_rw | EXECUTE
option_words           | shop_rw | EXECUTE
search_query           | shop_rw | EXECUTE
deletion_neighbourhood | shop_rw | EXECUTE
option_words           | shop_ro | EXECUTE
search_query           | shop_ro | EXECUTE
deletion_neighbourhood | shop_ro | EXECUTE
`

// others are there for nobody but the owner.
var others = []string{
	"goose_db_version_id_seq", "orders_number_seq", "stock_movements_seq_seq",
	"variants_inserted", "variants_updated", "products_inserted", "products_updated",
	"search_words_inserted", "search_words_updated",
}

// Each role tries each verb on each object that the catalog knows, and is refused
// (42501) whatever is not granted above. An object without a line fails the test.
func TestRolesMayNoMore(t *testing.T) {
	admin, dsnOf := shopDatabase(t, "roles")
	granted := parseGrants(t)
	objects := objectsOf(t, admin)
	var known []string
	for _, o := range objects {
		known = append(known, o.name)
	}
	slices.Sort(known)
	want := slices.Concat(others, slices.Collect(maps.Keys(granted)))
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(known)); diff != "" {
		t.Fatalf("what is listed here (-) and what there is (+) differ:\n%s", diff)
	}
	before := privileges(t, admin)
	for _, role := range []string{"shop_rw", "shop_ro"} {
		conn := connect(t, dsnOf(role))
		// A session may switch this off, and then 25006 no longer hides whether there is a
		// grant.
		exec(t, conn, "SET default_transaction_read_only = off")
		tried := 0
		for _, o := range objects {
			for verb, statements := range o.verbs() {
				for what, sql := range statements {
					tried++
					err := try(t, conn, sql)
					switch may := granted[o.name][role].allows(verb, what); {
					case may && code(err) == "42501":
						t.Errorf("%s is refused what it needs: %s: %v", role, sql, err)
					case !may && code(err) != "42501":
						t.Errorf("%s: %s: %v, want 42501", role, sql, err)
					case !may && verb == "EXECUTE" && !strings.Contains(err.Error(), "for function"): // but for what it does
						t.Errorf("%s may call it: %s: %v", role, sql, err)
					}
				}
			}
		}
		for _, o := range objects { // the server only warns whoever has some right, but not this one
			_, _ = conn.Exec(t.Context(), "GRANT ALL ON "+o.granted()+" TO PUBLIC")
		}
		t.Logf("%s tried %d statements", role, tried)
	}
	if diff := cmp.Diff(before, privileges(t, admin)); diff != "" {
		t.Errorf("the privileges are others now:\n%s", diff)
	}
}

// A grant is the verbs that a role has for an object, and for UPDATE the columns.
type grant map[string][]string

func (g grant) allows(verb, column string) bool {
	if verb == "LOCK" {
		return g["UPDATE"] != nil
	}
	columns, ok := g[verb]
	return ok && (columns == nil || slices.Contains(columns, column))
}

func parseGrants(t *testing.T) map[string]map[string]grant {
	t.Helper()
	all := map[string]map[string]grant{}
	for line := range strings.Lines(grants) {
		cells := strings.Split(line, "|")
		if len(cells) != 3 {
			continue
		}
		object, role := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])
		g := grant{}
		for _, verb := range strings.Fields(cells[2]) {
			name, columns, some := strings.Cut(strings.TrimSuffix(verb, ")"), "(")
			g[name] = nil
			if some {
				g[name] = strings.Split(columns, ",")
			}
		}
		if all[object] == nil {
			all[object] = map[string]grant{}
		}
		all[object][role] = g
	}
	return all
}

// An object is a table, view, sequence or function that is not the server's own.
type object struct {
	name, kind string // kind is that of pg_class, or "function"
	as         string // how SQL names it: schema.name, or schema.name(NULL::type, ...)
	columns    []string
}

// objectsOf lists what is in any schema but those of the server and of extensions.
func objectsOf(t *testing.T, admin *pgx.Conn) []object {
	t.Helper()
	rows, err := admin.Query(t.Context(), `SELECT c.relname, c.relkind::text, format('%I.%I', n.nspname, c.relname),
			ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind NOT IN ('i', 'I', 't', 'c') AND n.nspname !~ '^pg_|^information_schema$'
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
		UNION ALL
		SELECT p.proname, 'function', format('%I.%I(%s)', n.nspname, p.proname,
			array_to_string(ARRAY(SELECT 'NULL::' || format_type(a, NULL) FROM unnest(p.proargtypes) a), ', ')), '{}'
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname !~ '^pg_|^information_schema$'
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')`)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o object, err error) {
		return o, row.Scan(&o.name, &o.kind, &o.as, &o.columns)
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// granted is how GRANT names it.
func (o object) granted() string {
	switch o.kind {
	case "function":
		return "FUNCTION " + o.name
	case "S":
		return "SEQUENCE " + o.as
	}
	return o.as
}

// verbs are statements by the privilege that they need; those of a column are named
// after it. "own" needs to be the owner; a row is locked by whoever may update some
// column, and a table by whoever may delete from it.
func (o object) verbs() map[string]map[string]string {
	switch o.kind {
	case "function":
		return map[string]map[string]string{
			"EXECUTE": {"": "SELECT " + o.as},
			"own":     {"": "DROP ROUTINE " + o.name},
		}
	case "S":
		return map[string]map[string]string{
			"USAGE":  {"": "SELECT nextval('" + o.as + "')"},
			"UPDATE": {"": "SELECT setval('" + o.as + "', 1)"},
			"SELECT": {"": "SELECT FROM " + o.as},
			"own":    {"alter": "ALTER SEQUENCE " + o.as + " RESTART", "drop": "DROP SEQUENCE " + o.as},
		}
	}
	verbs := map[string]map[string]string{
		"SELECT":   {"": "SELECT count(*) FROM " + o.as, "copy": "COPY " + o.as + " TO STDOUT"},
		"INSERT":   {"": "INSERT INTO " + o.as + " DEFAULT VALUES"},
		"UPDATE":   {},
		"DELETE":   {"": "DELETE FROM " + o.as + " WHERE false", "lock": "LOCK TABLE " + o.as + " IN ACCESS EXCLUSIVE MODE"},
		"LOCK":     {"": "SELECT FROM " + o.as + " FOR KEY SHARE", "update": "SELECT FROM " + o.as + " FOR UPDATE"},
		"TRUNCATE": {"": "TRUNCATE " + o.as + " CASCADE"},
		"TRIGGER":  {"": "CREATE TRIGGER mine AFTER INSERT ON " + o.as + " EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
		"own": {
			"alter": "ALTER TABLE " + o.as + " ADD COLUMN mine int", "drop": "DROP TABLE " + o.as + " CASCADE",
			"index": "CREATE INDEX ON " + o.as + " ((1))", "rule": "CREATE RULE mine AS ON INSERT TO " + o.as + " DO INSTEAD NOTHING",
			"policy": "CREATE POLICY mine ON " + o.as, "owner": "ALTER TABLE " + o.as + " OWNER TO CURRENT_USER",
			"triggers": "ALTER TABLE " + o.as + " DISABLE TRIGGER ALL", "reindex": "REINDEX TABLE " + o.as,
			"comment": "COMMENT ON TABLE " + o.as + " IS 'mine'", "statistics": "CREATE STATISTICS mine (dependencies) ON ctid, xmin FROM " + o.as,
		},
	}
	for _, column := range o.columns {
		verbs["SELECT"][column] = fmt.Sprintf("SELECT %q FROM %s LIMIT 0", column, o.as)
		verbs["INSERT"][column] = fmt.Sprintf("INSERT INTO %s (%q) VALUES (DEFAULT)", o.as, column)
		verbs["UPDATE"][column] = fmt.Sprintf("UPDATE %s SET %q = DEFAULT WHERE false", o.as, column)
	}
	return verbs
}

// try runs one statement and undoes it.
func try(t *testing.T, conn *pgx.Conn, sql string) error {
	t.Helper()
	_, err := conn.PgConn().Exec(t.Context(), "BEGIN;"+sql+";ROLLBACK").ReadAll()
	if err != nil {
		exec(t, conn, "ROLLBACK")
	}
	return err
}

// code is the SQLSTATE of an error, "" for none.
func code(err error) string {
	if pg, ok := err.(*pgconn.PgError); ok {
		return pg.Code
	}
	return ""
}

// privileges are those of everybody on everything, so that also a GRANT that the server
// only warns of would show if it did something.
func privileges(t *testing.T, admin *pgx.Conn) (all string) {
	t.Helper()
	err := admin.QueryRow(t.Context(), `SELECT concat_ws(E'\n',
		(SELECT string_agg(format('%s %s', oid::regclass, relacl), E'\n' ORDER BY oid) FROM pg_class),
		(SELECT string_agg(format('%s %s', oid::regprocedure, proacl), E'\n' ORDER BY oid) FROM pg_proc),
		(SELECT string_agg(format('%s %s', nspname, nspacl), E'\n' ORDER BY oid) FROM pg_namespace),
		(SELECT string_agg(format('%s %s', attrelid::regclass, attacl), E'\n' ORDER BY attrelid, attnum) FROM pg_attribute WHERE attacl IS NOT NULL),
		(SELECT string_agg(format('%s in %s', member::regrole, roleid::regrole), E'\n' ORDER BY roleid, member) FROM pg_auth_members))`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
