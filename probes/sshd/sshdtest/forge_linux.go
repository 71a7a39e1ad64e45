// Package sshdtest helps tests with processes that only call themselves sshd.
package sshdtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Nobody is the user id that forged processes run as: a user without privileges.
const Nobody = 65534

// Copy makes a program named sshd that is a shell, executable by everybody, and
// gives its path.
func Copy(t testing.TB) string {
	t.Helper()
	shell, err := os.ReadFile("/bin/bash")
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "lifeline-forged")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sshd")
	if err := os.WriteFile(path, shell, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Forge runs a program named sshd as user Nobody until the test ends. Its whole
// command line is title, and it holds the files that are given. Its pid is
// returned.
func Forge(t testing.TB, title string, files ...*os.File) int {
	t.Helper()
	return run(t, Copy(t), title, Nobody, files)
}

// ForgeBy is Forge with a program and a user id of the caller's choice.
func ForgeBy(t testing.TB, program, title string, uid uint32, files ...*os.File) int {
	t.Helper()
	return run(t, program, title, uid, files)
}

// run leaves the shell waiting for a line that never comes.
func run(t testing.TB, program, title string, uid uint32, files []*os.File) int {
	t.Helper()
	c := &exec.Cmd{Path: program, Args: []string{title}, Env: []string{}, ExtraFiles: files, Dir: "/"}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Skipf("no process of user %d: %v", uid, err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c.Process.Pid
}
