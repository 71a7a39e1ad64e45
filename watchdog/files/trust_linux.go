package files

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// TrustDir tells why the files in a directory cannot be believed, and what to do:
// somebody else may put his own there. A directory as /tmp is, where nobody can
// move what is another's, is good enough.
func TrustDir(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeSticky != 0 {
		return nil
	}
	return Trust(dir, st)
}

// Trust tells why what stands at path cannot be believed, and what to do: it
// belongs to another user than root and this one, or others may write it.
func Trust(path string, st fs.FileInfo) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok || sys.Uid != 0 && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (%d), who could write what is believed here: move it away, or `chown %d %s`", path, sys.Uid, os.Geteuid(), path)
	case st.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s has mode %v, which lets others write what is believed here: `chmod go-w %s`", path, st.Mode().Perm(), path)
	}
	return nil
}
