package pgcluster

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Account is the operating system user that the servers run as. PostgreSQL
// refuses to run as root, so root lends them another one.
type Account struct {
	name     string
	uid, gid int
	switched bool // we are root and they are not
}

// ServerAccount is that of this process or, for root, of SHOP_PG_USER, else "postgres"
// or "nobody".
func ServerAccount() (Account, error) {
	if os.Geteuid() != 0 {
		return Account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	names := []string{"postgres", "nobody"}
	if name := os.Getenv("SHOP_PG_USER"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid != 0 {
			return Account{name: name, uid: uid, gid: gid, switched: true}, nil
		}
	}
	return Account{}, fmt.Errorf("pgcluster: PostgreSQL refuses to run as root and none of %q is another user: set SHOP_PG_USER", names)
}

// ProcAttr puts a child in its own process group, out of reach of the terminal's
// Ctrl-C, and under the servers' user.
func (a Account) ProcAttr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// Own gives a file or an empty folder to the servers' user.
func (a Account) Own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

func (a Account) writeFile(path, text string) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	if err := a.Own(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// canReach reports the first folder on the way to dir that the servers' user may
// not enter; a root shell's private folders are a common surprise.
func (a Account) canReach(dir string) error {
	if !a.switched {
		return nil
	}
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode()&0o001 == 0 && int(stat.Uid) != a.uid {
			return fmt.Errorf("user %s, which runs the servers for root, may not enter %s: chmod o+x it or choose another folder", a.name, p)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
