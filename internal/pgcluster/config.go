package pgcluster

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Config says what Start builds. The zero value is a lone primary in a temporary
// folder.
type Config struct {
	// Dir is the folder of the cluster. Empty: a temporary one, removed by Close.
	// Otherwise it is kept, and reopened when it already holds a cluster; then
	// Replicas, Async, Database, Roles and InitSQL are those of its first start.
	Dir string
	// Replicas is the number of standbys; 0 is allowed.
	Replicas int
	// Async leaves commits unreplicated. By default a commit waits until any one
	// of the standbys has flushed it (synchronous_standby_names = 'ANY 1 (...)').
	Async bool
	// Database is created and owned by Roles[0]. Default "shop".
	Database string
	// Roles are login roles; each gets a random password, see Node.DSN.
	Roles []string
	// InitSQL runs once, as superuser, in Database, after the roles exist.
	InitSQL string
	// Settings are postgresql.conf values for every node; they win over ours.
	Settings map[string]string
	// Files are put into the data folder of every node before it starts, readable by
	// the servers alone: a certificate and its key, another pg_hba.conf. They win over
	// ours. Attach does not know them, nor Params.
	Files map[string]string
	// Params are the parameters of every DSN, as in a URL. Default "sslmode=disable",
	// because trying TLS first would dial twice. The superuser's are used by the verbs,
	// too; standbys stream without TLS in any case.
	Params string
	// Upstream may put something between a standby and its primary: given the
	// standby's name and the primary's address it returns the address to dial.
	// Called whenever a standby is configured; nil means direct.
	Upstream func(node, addr string) string
	// Progress receives one line a step. It may be called by several goroutines.
	Progress func(step string)
	// Log receives debug records; nil discards them.
	Log *slog.Logger
}

const maxReplicas = 16

// superuser and replicator are the roles that every cluster has.
const (
	superuser  = "postgres"
	replicator = "replicator"
)

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Database == "" {
		cfg.Database = "shop"
	}
	if cfg.Params == "" {
		cfg.Params = "sslmode=disable"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Replicas < 0 || cfg.Replicas > maxReplicas {
		return cfg, fmt.Errorf("pgcluster: %d replicas: give 0 to %d", cfg.Replicas, maxReplicas)
	}
	for _, role := range cfg.Roles {
		if role == superuser || role == replicator || role == "" {
			return cfg, fmt.Errorf("pgcluster: role %q is taken or empty", role)
		}
	}
	for name := range cfg.Files {
		if filepath.Base(name) != name || name == confFile {
			return cfg, fmt.Errorf("pgcluster: file %q is not one of the data folder's own", name)
		}
	}
	for name, value := range cfg.Settings {
		if !settingName.MatchString(name) || strings.ContainsAny(value, "\n\r\x00") {
			return cfg, fmt.Errorf("pgcluster: setting %q = %q is not one line of postgresql.conf", name, value)
		}
	}
	return cfg, nil
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// confFile is ours alone: postgresql.conf includes it last, and it is rewritten
// before each start. pg_rewind and pg_basebackup copy it from the other node.
const confFile = "pgcluster.conf"

// writeConf writes the settings and files of one node. following is the primary that the
// node follows when it is, or may become, a standby; nil for none.
func (n *Node) writeConf(following *Node, sync bool) error {
	var b strings.Builder
	set := func(name, value string) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	set("cluster_name", n.name)
	set("listen_addresses", "127.0.0.1")
	set("port", fmt.Sprint(n.port))
	set("unix_socket_directories", "")
	set("max_connections", "200")
	set("shared_buffers", "64MB")
	// POSIX segments of a killed server would stay in /dev/shm; these live in the
	// data folder and go with it.
	set("dynamic_shared_memory_type", "mmap")
	set("lc_messages", "C") // the log is searched for a failed bind
	set("log_line_prefix", "%m [%p] %q%u@%d ")

	set("wal_level", "replica")
	// For as many standbys as there may ever be: one that is added must not find fewer
	// on its primary, nor the primary want a restart.
	set("max_wal_senders", fmt.Sprint(2*(maxReplicas+4)))
	set("max_replication_slots", fmt.Sprint(2*(maxReplicas+4)))
	set("wal_keep_size", "128MB")          // for pg_rewind, which reads WAL without a slot
	set("max_slot_wal_keep_size", "512MB") // a dead standby must not fill the disk
	set("hot_standby", "on")
	set("hot_standby_feedback", "on")
	set("max_standby_streaming_delay", "5s")
	set("max_standby_archive_delay", "5s")
	set("wal_receiver_status_interval", "1s")
	set("wal_retrieve_retry_interval", "200ms")
	// On every node, so that a promoted standby never degrades to asynchronous.
	if sync {
		set("synchronous_standby_names", n.c.syncNames(n))
	}
	if following != nil {
		conninfo, err := n.conninfo(following)
		if err != nil {
			return err
		}
		set("primary_conninfo", conninfo)
		set("primary_slot_name", n.slot())
	}
	for _, name := range slices.Sorted(maps.Keys(n.c.cfg.Settings)) {
		set(name, n.c.cfg.Settings[name])
	}
	for name, text := range n.c.cfg.Files {
		if err := n.c.as.writeFile(n.file(name), text); err != nil {
			return err
		}
	}
	return n.c.as.writeFile(n.file(confFile), b.String())
}

// syncNames is the quorum that n waits for as a primary: any one of the others.
func (c *Cluster) syncNames(n *Node) string {
	var names []string
	for _, other := range c.Nodes() {
		if other != n {
			names = append(names, `"`+other.name+`"`)
		}
	}
	if c.async || len(names) == 0 {
		return ""
	}
	return "ANY 1 (" + strings.Join(names, ", ") + ")"
}

var errUpstream = errors.New("Config.Upstream did not return host:port")
