package pgcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	stateFile = "cluster.json"
	verbLock  = "verb.lock"  // held while a verb runs, in any process
	ownerLock = "owner.lock" // held by the process that called Start, then by its watchdog
)

// state is cluster.json: what a second terminal, and a reopening, need to know.
// It holds passwords, hence mode 0600.
type state struct {
	Version   int               `json:"version"`
	Ready     bool              `json:"ready"` // false: its first start never finished
	OwnerPid  int               `json:"owner_pid"`
	Bin       string            `json:"bin"`
	User      string            `json:"user"`
	Database  string            `json:"database"`
	Async     bool              `json:"async"`
	Settings  map[string]string `json:"settings,omitempty"`
	Passwords map[string]string `json:"passwords"`
	Nodes     []nodeState       `json:"nodes"`
}

type nodeState struct {
	Name string            `json:"name"`
	Port int               `json:"port"`
	Data string            `json:"data"`
	Pid  int               `json:"pid"`  // 0 when down
	Role Role              `json:"role"` // as last observed
	DSN  map[string]string `json:"dsn"`
}

const stateVersion = 1

func readState(dir string) (state, error) {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return state{}, err
	}
	var st state
	if err := json.Unmarshal(text, &st); err != nil {
		return state{}, fmt.Errorf("%s: %w", path, err)
	}
	if st.Version != stateVersion || len(st.Nodes) == 0 {
		return state{}, fmt.Errorf("%s: version %d of another program", path, st.Version)
	}
	return st, nil
}

// save writes cluster.json in one rename. Roles are those in roles, or else what
// the file said before; the caller holds the verb lock.
func (c *Cluster) save(ready bool, roles map[string]Role) error {
	before, err := readState(c.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	st := state{
		Version: stateVersion, Ready: ready, OwnerPid: before.OwnerPid, Bin: c.bin, User: c.as.name,
		Database: c.cfg.Database, Async: c.async, Settings: c.cfg.Settings, Passwords: c.passwords,
	}
	if !c.attached {
		st.OwnerPid = os.Getpid()
	}
	for i, n := range c.Nodes() {
		ns := nodeState{Name: n.name, Port: n.port, Data: n.data, Pid: n.pid(), Role: roles[n.name], DSN: map[string]string{}}
		if ns.Role == "" && i < len(before.Nodes) {
			ns.Role = before.Nodes[i].Role
		}
		for role := range c.passwords {
			ns.DSN[role] = n.DSN(role)
		}
		st.Nodes = append(st.Nodes, ns)
	}
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(c.dir, stateFile+".tmp")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(c.dir, stateFile))
}

var errLocked = errors.New("locked by another process")

// tryLock takes an exclusive flock, or returns errLocked. The lock belongs to
// the open file, so that two goroutines exclude each other as processes do, and
// a child that inherits the file keeps it locked.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// lockFor waits for the lock as long as ctx allows.
func lockFor(ctx context.Context, path string) (f *os.File, err error) {
	err = poll(ctx, func() (bool, error) {
		f, err = tryLock(path)
		if errors.Is(err, errLocked) {
			return false, nil
		}
		return err == nil, err
	})
	return f, err
}
