package savedrules

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/files"
)

// A rules file that does not let itself be opened, as on a mount whose server is
// gone (here by fanotify(7)), is an error in good time.
func TestHeldRulesFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: holds opens (fanotify)")
	}
	path := filepath.Join(t.TempDir(), "rules.v4")
	if err := os.WriteFile(path, []byte("*filter\nCOMMIT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM, unix.AT_FDCWD, path)
	}
	if err != nil {
		t.Skipf("no permission events: %v", err)
	}
	defer unix.Close(fd) // lets all of them go on
	was := fileDeadline
	fileDeadline = 200 * time.Millisecond
	defer func() { fileDeadline = was }()
	if _, err := Read(RoleRules4, path, "/"); !errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("rules file: %v", err)
	}
	if _, err := ReadFile(path); !errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("another file: %v", err)
	}
}
