package sshd_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"lifeline/probes/sshd"
	"lifeline/probes/sshd/sshdtest"
)

func TestRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	id, err := sshd.Read("/proc", os.Getpid())
	if err != nil || id.Err != nil || id.PID != os.Getpid() || id.Parent != os.Getppid() || id.UIDs != [3]uint32{} || id.Server() {
		t.Errorf("this process: %+v, %v", id, err)
	}
	forged := sshdtest.Forge(t, "sshd: root@pts/0")
	id, err = sshd.Read("/proc", forged)
	if err != nil || id.Exe.Name != "sshd" || id.UIDs != [3]uint32{65534, 65534, 65534} || id.Parent != os.Getpid() || id.Server() {
		t.Errorf("a user's program: %+v, %v", id, err)
	}
	// As root it is root's sshd by its name, until others may write to it.
	program := sshdtest.Copy(t)
	pid := sshdtest.ForgeBy(t, program, "sshd: root@pts/0", 0)
	if id, err = sshd.Read("/proc", pid); err != nil || !id.Server() {
		t.Errorf("root's: %+v, %v", id, err)
	}
	if err := os.Chmod(program, 0o775); err != nil {
		t.Fatal(err)
	}
	if id, err = sshd.Read("/proc", pid); err != nil || id.Exe.Guarded || id.Server() {
		t.Errorf("a group may write to it: %+v, %v", id, err)
	}
	if err := errors.Join(os.Chmod(program, 0o755), os.Remove(program)); err != nil {
		t.Fatal(err)
	}
	if id, err = sshd.Read("/proc", pid); err != nil || id.Exe.Name != "sshd" || !id.Server() {
		t.Errorf("its file was replaced: %+v, %v", id, err)
	}
	if _, err := sshd.Read("/proc", 1<<22+1); !errors.Is(err, sshd.ErrGone) {
		t.Errorf("no process: %v", err)
	}
}

// Root in a user namespace of a user's own is that user.
func TestReadOfAUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip(err)
	}
	program := sshdtest.Copy(t)
	c := exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", unshare, "-Ur", "sh", "-c", "exec "+program+" -c 'id -u; read x'")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { in.Close(); _ = c.Wait() })
	said := make([]byte, 8)
	if n, _ := out.Read(said); string(said[:n]) != "0\n" {
		t.Skipf("no user namespace of a user's own here: %q", said[:n])
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		id, err := sshd.Read("/proc", c.Process.Pid)
		if err == nil && id.Exe.Name == "sshd" {
			if id.UIDs[0] != 65534 || id.Server() {
				t.Errorf("%+v", id)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", id, err)
		}
	}
}
