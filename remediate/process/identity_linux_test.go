package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
)

func TestMain(m *testing.M) {
	if os.Getenv(roletest.RoleVar) == "strayed" {
		runtime.LockOSThread() // so that the role has the main thread
	}
	roletest.Main(m, map[string]func() error{"parent": parentRole, "starter": starterRole, "strayed": strayedRole})
}

// strayedRole parks the main thread in another network namespace and tells
// which one the process takes for its own.
func strayedRole() error {
	if unix.Gettid() != unix.Getpid() {
		return errors.New("not on the main thread")
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	type answer struct {
		netns uint64
		err   error
	}
	told := make(chan answer)
	go func() {
		id, err := Self()
		told <- answer{id.Netns, err}
	}()
	a := <-told
	fmt.Print(a.netns)
	return a.err
}

// A daemon that takes a stray thread's namespace for its own believes that all
// transfers are somebody else's, and protects nothing.
func TestIdentityIsNotTheMainThreads(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	here, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	argv := roletest.Play("strayed")
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if got := string(out); got != fmt.Sprint(here.Netns) {
		t.Errorf("own namespace %s, want %d", got, here.Netns)
	}
}
