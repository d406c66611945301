package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// folder is what openFolder found or made.
type folder struct {
	c        *Cluster
	state    state
	reopened bool
	made     bool // the folder itself is ours to remove
}

// openFolder settles c.dir and takes the owner's lock. A folder that holds
// something else is refused untouched.
func (c *Cluster) openFolder(ctx context.Context) (*folder, error) {
	f := &folder{c: c}
	if err := f.open(); err != nil {
		return nil, err
	}
	err := c.as.canReach(c.dir)
	if err == nil {
		err = f.takeOwnership(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.removeDir())
	}
	if f.reopened { // what the last owner or its watchdog wrote last
		f.state, err = readState(c.dir)
	}
	return f, err
}

// temporaryName is the pattern of temporary folders.
const temporaryName = "pgcluster-*"

func (f *folder) open() (err error) {
	c := f.c
	if c.cfg.Dir == "" {
		c.temporary, f.made = true, true
		if c.dir, err = os.MkdirTemp("", temporaryName); err != nil {
			return err
		}
		if c.dir, err = filepath.EvalSymlinks(c.dir); err != nil {
			return err
		}
		return os.Chmod(c.dir, 0o711) // the servers' user has to get through
	}
	if c.dir, err = filepath.Abs(c.cfg.Dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.made = true
		if err := os.MkdirAll(filepath.Dir(c.dir), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(c.dir, 0o711); err != nil {
			return err
		}
		return os.Chmod(c.dir, 0o711) // whatever the umask
	case err != nil || len(entries) == 0:
		return err
	}
	f.state, err = readState(c.dir)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not empty and holds no cluster: choose another folder", c.dir)
	} else if err != nil {
		return err
	}
	f.reopened = true
	return nil
}

// takeOwnership waits for the watchdog of a dead owner, but not for a live one.
func (f *folder) takeOwnership(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fastStop+quickStop+3*time.Second)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		lock, err := tryLock(f.c.file(ownerLock))
		if err == nil {
			f.c.owner = lock
			return true, nil
		}
		if !errors.Is(err, errLocked) {
			return false, err
		}
		if st, err := readState(f.c.dir); err == nil && alive(st.OwnerPid) {
			return false, fmt.Errorf("the cluster in %s is already running, held by pid %d: stop that one first", f.c.dir, st.OwnerPid)
		}
		return false, nil
	})
}

// undo removes what a failed first start made. A reopened cluster stays.
func (f *folder) undo() error {
	if f.reopened || f.c.temporary {
		return nil
	}
	for _, n := range f.c.Nodes() {
		_ = os.RemoveAll(n.data)
		_ = os.Remove(n.log)
	}
	for _, name := range []string{stateFile, verbLock, ownerLock} {
		_ = os.Remove(f.c.file(name))
	}
	return f.removeDir()
}

func (f *folder) removeDir() error {
	if !f.made {
		return nil
	}
	_ = os.Remove(f.c.file(ownerLock))
	return os.Remove(f.c.dir)
}
