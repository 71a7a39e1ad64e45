package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
)

// While a child's program is being loaded, however long that takes, the daemon
// goes on, although it has one processor.
func TestStartOfAChildHoldsNobodyUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: holds the loading of a program (fanotify)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	argv := roletest.Play("starter", t.TempDir())
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("all stood still for 30 s: %s", out)
	case strings.Contains(string(out), "no permission events"):
		t.Skipf("%s", out)
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
}

// starterRole starts a child whose program the kernel does not load before this
// process has answered for it (fanotify(7)).
func starterRole() error {
	program := filepath.Join(os.Args[1], "true")
	if err := copyFile("/bin/true", program); err != nil {
		return err
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, program)
	}
	if err != nil {
		return fmt.Errorf("no permission events: %w", err)
	}
	runtime.GOMAXPROCS(1)
	started := make(chan error, 1)
	cmd := exec.Command(program)
	go func() { started <- StartChild(cmd) }()
	if err := allow(fd); err != nil {
		return err
	}
	if err := errors.Join(<-started, cmd.Wait()); err != nil {
		return err
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		return fmt.Errorf("%d processors afterwards", n)
	}
	return nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// allow answers the first question of fanotify, once it is sure that the child
// waits for that.
func allow(fd int) error {
	var event unix.FanotifyEventMetadata
	if _, err := unix.Read(fd, unsafe.Slice((*byte)(unsafe.Pointer(&event)), unsafe.Sizeof(event))); err != nil {
		return err
	}
	defer unix.Close(int(event.Fd))
	time.Sleep(100 * time.Millisecond) // a turn of the daemon fits into it
	answer := unix.FanotifyResponse{Fd: event.Fd, Response: unix.FAN_ALLOW}
	_, err := unix.Write(fd, unsafe.Slice((*byte)(unsafe.Pointer(&answer)), unsafe.Sizeof(answer)))
	return err
}
