package rsync

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/probes/sshd/sshdtest"
)

// people are the sessions at a port.
func (r *running) people(port string) (n int) {
	for _, v := range r.Sessions() {
		if strings.HasSuffix(v.Local.String(), ":"+port) {
			n++
		}
	}
	return n
}

// sftpOnly lets user nobody in, who has no shell, and gives the client's command.
func (s *site) sftpOnly(port string) []string {
	s.t.Helper()
	// sshd reads the keys as the user.
	for _, dir := range []string{filepath.Dir(s.dir), s.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Write("sftp_config", fmt.Sprintf("Port %[2]s\nListenAddress 127.0.0.1\nHostKey %[1]s/host_key\nAuthorizedKeysFile %[1]s/id.pub\n"+
		"StrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n", s.dir, port))
	return append(strings.Fields(strings.Replace(s.ssh, "-p "+s.sshd, "-p "+port, 1)+" -s nobody@127.0.0.1"), "sftp")
}

// stay starts a client that stays connected.
func (s *site) stay(argv []string) *exec.Cmd {
	s.t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { in.Close(); end(c) })
	return c
}

// A user's session is one: sshd serves it by a process of the user's and one of
// root's, which both hold the connection.
func TestSessionOfAUser(t *testing.T) {
	s := newSite(t)
	client := s.sftpOnly("2223")
	s.start("/usr/sbin/sshd", "-D", "-e", "-f", s.Path("sftp_config"))
	s.await("sshd", func() bool { return answers("127.0.0.1:2223") })
	p := s.probe(Options{})
	c := s.stay(client)
	s.await("the session", func() bool { return p.people("2223") == 1 })
	end(c)
	s.await("its end", func() bool { return p.people("2223") == 0 })
}

// The very same program in a user's hands is not the host's sshd: its port is no way
// in. (Nobody can log in there: a user's sshd may not read the passwords.)
func TestSSHDOfAUser(t *testing.T) {
	s := newSite(t)
	s.sftpOnly("2223")
	for _, f := range []string{"host_key", "sftp_config"} {
		if err := os.Chown(s.Path(f), sshdtest.Nobody, sshdtest.Nobody); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", s.Path("sftp_config"))
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: sshdtest.Nobody, Gid: sshdtest.Nobody}}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(c) })
	s.await("the user's sshd", func() bool { return answers("127.0.0.1:2223") })
	stranger := dialIdle(t, "127.0.0.1:2223")
	defer stranger()
	p := s.probe(Options{})
	s.stay(append(strings.Fields(s.ssh+" root@127.0.0.1"), "exec sleep 1000"))
	s.await("the host's session", func() bool {
		if n := p.people("2223"); n > 0 {
			t.Fatalf("%d sessions of a user's own sshd count", n)
		}
		return p.people(sshPort) == 1
	})
	s.await("ports", func() bool { return fmt.Sprint(p.SSHPorts()) == "["+sshPort+"]" })
}

// Who was let in by an sshd that was started anew since is still let in.
func TestSessionOutlivesItsListener(t *testing.T) {
	s := newSite(t)
	s.sftpOnly("2223")
	client := append(strings.Fields(strings.Replace(s.ssh, "-p "+s.sshd, "-p 2223", 1)+" root@127.0.0.1"), "exec sleep 1000")
	s.Write("sftp_config", strings.Replace(read1(t, s.Path("sftp_config")), "ForceCommand internal-sftp\n", "", 1))
	first := s.start("/usr/sbin/sshd", "-D", "-e", "-f", s.Path("sftp_config"))
	s.await("sshd", func() bool { return answers("127.0.0.1:2223") })
	p := s.probe(Options{})
	s.stay(client)
	s.await("the session", func() bool { return p.people("2223") == 1 })
	if err := unix.Kill(first.Process.Pid, unix.SIGTERM); err != nil { // the listener alone
		t.Fatal(err)
	}
	_ = first.Wait()
	s.await("a session to a port that nobody listens on is none of sshd", func() bool { return p.people("2223") == 0 })
	s.start("/usr/sbin/sshd", "-D", "-e", "-f", s.Path("sftp_config"))
	s.await("the session again", func() bool { return p.people("2223") == 1 })
}

func read1(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A service manager may listen in sshd's place, and start one for each connection.
func TestSessionOfASocketUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-socket-activate"); err != nil {
		t.Skip(err)
	}
	s := newSite(t)
	s.start("systemd-socket-activate", "-l", "127.0.0.1:2224", "--inetd", "-a", "/usr/sbin/sshd", "-i", "-f", s.Path("sshd_config"))
	s.await("listener", func() bool { return answers("127.0.0.1:2224") })
	p := s.probe(Options{})
	s.stay(append(strings.Fields(strings.Replace(s.ssh, "-p "+s.sshd, "-p 2224", 1)+" root@127.0.0.1"), "exec sleep 1000"))
	s.await("the session", func() bool { return p.people("2224") == 1 })
	s.await("its port", func() bool { return strings.Contains(fmt.Sprint(p.SSHPorts()), "2224") })
}

// The executable of an sshd that was upgraded meanwhile has no name any more.
func TestSessionOfAnUpgradedSSHD(t *testing.T) {
	s := newSite(t)
	program := s.Path("sshd")
	s.Run("cp", "/usr/sbin/sshd", program)
	s.Write("sshd2_config", strings.Replace(read1(t, s.Path("sshd_config")), "Port "+s.sshd, "Port 2225", 1))
	s.start(program, "-D", "-e", "-f", s.Path("sshd2_config"))
	s.await("sshd", func() bool { return answers("127.0.0.1:2225") })
	if err := os.Rename(program, program+".old"); err == nil {
		err = os.Remove(program + ".old")
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Run("cp", "/usr/sbin/sshd", program) // sshd executes itself anew for each connection
	p := s.probe(Options{})
	s.stay(append(strings.Fields(strings.Replace(s.ssh, "-p "+s.sshd, "-p 2225", 1)+" root@127.0.0.1"), "exec sleep 1000"))
	s.await("the session", func() bool { return p.people("2225") == 1 })
	// And what a user may write to is not sshd's executable, whoever runs it.
	if err := os.Chmod(program, 0o777); err != nil {
		t.Fatal(err)
	}
	s.await("nobody's program any more", func() bool { return p.people("2225") == 0 })
}
