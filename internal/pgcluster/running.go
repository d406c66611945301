package pgcluster

import (
	"os"
	"path/filepath"
)

// Running returns the folders of the temporary clusters that run on this machine and
// that this user may attach to, whoever started them. Those in a folder of their own
// (Config.Dir) could be anywhere, and are not found.
func Running() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryName))
	if err != nil {
		return nil, err
	}
	var running []string
	for _, dir := range dirs {
		if st, err := readState(dir); err != nil || !st.Ready {
			continue // still starting, or somebody else's
		}
		if c, err := Attach(dir); err == nil {
			running = append(running, c.Dir())
		}
	}
	return running, nil
}
