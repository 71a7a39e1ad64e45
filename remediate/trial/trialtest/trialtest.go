package trialtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/remediate/trial"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// KeepSocket gives a duplicate of the trial's receiver, as a process has that was
// forked or was sent it.
func KeepSocket(t *testing.T, tr *trial.Connection) int {
	t.Helper()
	own := -1
	if err := tr.Visit(func(fd int) (err error) {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return own
}

// HandOver gives the trial's receiver to a process of another user, and ends the one
// that had it.
func HandOver(t *testing.T, tr *trial.Connection) {
	t.Helper()
	f := os.NewFile(uintptr(KeepSocket(t, tr)), "socket")
	defer f.Close()
	heir := exec.Command("sleep", "600")
	heir.ExtraFiles = []*os.File{nil, nil, f} // another number than it had
	if os.Geteuid() == 0 {
		heir.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := heir.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		heir.Process.Kill()
		heir.Wait()
	})
	EndChild(tr)
	st, err := process.ReadStat(heir.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	tr.Socket.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: heir.Process.Pid, Start: st.Start}, FD: 5}}
}

func EndChild(tr *trial.Connection) {
	tr.Child.Process.Kill()
	tr.Child.Wait()
}

func New(t *testing.T) *trial.Connection {
	t.Helper()
	tr, err := trial.Start(context.Background(), roletest.Play("trial"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	if err := tr.Visit(func(int) error { return nil }); err != nil {
		t.Skipf("this process may not take sockets of others: %v", err)
	}
	return tr
}

// transfer describes the trial's receiver as a probe would.
func TransferOf(t *trial.Connection) watchdog.Transfer {
	return watchdog.Transfer{
		ID: watchdog.TransferID(fmt.Sprintf("t%d", t.Socket.Inode)), Direction: watchdog.Rx, Via: watchdog.ViaDaemon,
		Procs: []watchdog.ProcID{t.Proc}, Socket: t.Socket, Control: watchdog.ControlFull,
	}
}

// stop stops the trial's process, and waits until it stands: the signal is only sent.
func Stop(tr *trial.Connection) error {
	if err := unix.Kill(tr.Proc.PID, unix.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if st, err := process.StatOf(tr.Proc); err != nil || st.Stopped() {
			return err
		}
	}
	return errors.New("it does not stop")
}

func OpenLedger(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	id, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
