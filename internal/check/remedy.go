package check

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Remedies writes down what to type. For a local cluster it is a command of this
// program; elsewhere it says on which node to type what, because how one gets there
// is not ours to know, and a DSN holds a password.
type Remedies struct {
	Shop string // the program
	Dir  string // the folder of a local cluster; empty: it is none
}

// sql is one statement for a superuser.
func (r Remedies) sql(node, statement string) string {
	if r.Dir != "" {
		return r.verb("sql", node+" "+quote(statement))
	}
	return fmt.Sprintf("on %s: %s;", node, statement)
}

func (r Remedies) verb(verb, args string) string {
	return fmt.Sprintf("%s cluster %s %s --dir %s", quote(r.Shop), verb, args, quote(r.Dir))
}

func (r Remedies) pgCtl(verb, node string) string {
	if r.Dir != "" {
		return r.verb(verb, node)
	}
	return fmt.Sprintf(`on %s: pg_ctl %s -D "$PGDATA"`, node, verb)
}

func (r Remedies) restart(node string) []string {
	if r.Dir != "" {
		return []string{r.verb("stop", node), r.verb("start", node)}
	}
	return []string{r.pgCtl("restart", node)}
}

// promote is pg_promote, and with a local cluster also the question whether it loses
// an acknowledged commit.
func (r Remedies) promote(node string) string {
	if r.Dir != "" {
		return r.verb("promote", node)
	}
	return r.sql(node, "SELECT pg_promote()")
}

// rejoin makes a node a standby of the primary, and throws away what only the node
// has. The checkpoint is for pg_rewind, which reads the timeline of its source from
// the control file and would find nothing to do before one. It copies the other's
// configuration too: with that one's slot, which the new primary has not, nothing streams.
func (r Remedies) rejoin(node, primary string) []string {
	if r.Dir != "" {
		return []string{r.verb("rejoin", node)}
	}
	return []string{
		r.sql(primary, "CHECKPOINT"),
		r.pgCtl("stop", node),
		fmt.Sprintf(`on %s: pg_rewind -D "$PGDATA" -R --source-server="host=... dbname=postgres" (the host of %s)`, node, primary),
		fmt.Sprintf("on %s: in postgresql.auto.conf, which is that of %s now, let primary_slot_name be %s's own slot there, or ''", node, primary, node),
		r.pgCtl("start", node),
	}
}

// rebuild is for a standby whose log is gone.
func (r Remedies) rebuild(node, primary, slot string) []string {
	if r.Dir != "" {
		return r.rejoin(node, primary)
	}
	return []string{
		r.pgCtl("stop", node),
		fmt.Sprintf("on %s: empty $PGDATA", node),
		r.sql(primary, "SELECT pg_drop_replication_slot("+literal(slot)+")"),
		fmt.Sprintf(`on %s: pg_basebackup -D "$PGDATA" -R -C -S %s -h ... (the host of %s)`, node, quote(slot), primary),
		r.pgCtl("start", node),
	}
}

// set changes a setting of one node, for good.
func (r Remedies) set(node, name, value string, restart bool) []string {
	alter := r.sql(node, "ALTER SYSTEM SET "+name+" = "+literal(value))
	if restart {
		return append([]string{alter}, r.restart(node)...)
	}
	return []string{alter, r.sql(node, "SELECT pg_reload_conf()")}
}

// grantSight gives what migrations/roles/roles.sql gives to shop_ro, and not pg_monitor,
// which also reads all settings: primary_conninfo may hold a password.
func (r Remedies) grantSight(node, user string) string {
	role := pgx.Identifier{user}.Sanitize()
	return r.sql(node, "GRANT pg_read_all_stats TO "+role+"; GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO "+role)
}

// anyOf is a quorum of one, as synchronous_standby_names has it; "" of nobody.
func anyOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	return "ANY 1 (" + strings.Join(quoted, ", ") + ")"
}

func (r Remedies) look(flags string) string {
	if r.Dir != "" {
		return fmt.Sprintf("%s check --dir %s %s", quote(r.Shop), quote(r.Dir), flags)
	}
	return quote(r.Shop) + " check " + flags
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// quote is for a POSIX shell.
func quote(text string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,=", r)
	}
	if text != "" && strings.TrimFunc(text, safe) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
