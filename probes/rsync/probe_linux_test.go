package rsync

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/discovery"
	"lifeline/watchdog"
)

// bothWays runs a test with the proc connector and without.
func bothWays(t *testing.T, test func(t *testing.T, s *site, opts Options)) {
	for name, opts := range map[string]Options{"connector": {}, "polling": {NoConnector: true}} {
		t.Run(name, func(t *testing.T) { test(t, newSite(t), opts) })
	}
}

func TestTransfers(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		p := s.probe(opts)
		for i, kind := range kinds {
			c := s.client(kind, i)
			serverVia, clientVia := watchdog.ViaDaemon, watchdog.ViaDaemonClient
			if strings.HasPrefix(kind, "ssh") {
				serverVia, clientVia = watchdog.ViaSSHServer, watchdog.ViaSSHClient
			}
			server, client := watchdog.Rx, watchdog.Tx
			if strings.HasSuffix(kind, "pull") {
				server, client = client, server
			}
			var near, far watchdog.Transfer
			s.await(kind, func() bool {
				var a, b bool
				near, a = p.by(serverVia)
				far, b = p.by(clientVia)
				big := filepath.Base(near.File.Name) == "big" && filepath.Base(far.File.Name) == "big"
				return a && b && big && near.File.Pos > 0 && near.Rate > 100e3 && far.File.Pos > 0 &&
					near.Direction == server && far.Direction == client
			})
			checkEnds(t, kind, near, far)
			if strings.HasPrefix(kind, "daemon") && near.Module != map[watchdog.Direction]string{watchdog.Rx: "dst", watchdog.Tx: "src"}[server] {
				t.Errorf("%s: module %q", kind, near.Module)
			}
			end(c)
			s.await("end of "+kind, func() bool { return len(p.ours()) == 0 })
		}
	})
}

// checkEnds checks both ends of one transfer.
func checkEnds(t *testing.T, kind string, near, far watchdog.Transfer) {
	t.Helper()
	if near.Control != watchdog.ControlFull || far.Control != watchdog.ControlLimitOnly {
		t.Errorf("%s: control %s (%s) and %s (%s)", kind, near.Control, near.Why, far.Control, far.Why)
	}
	if near.Socket.Local != far.Socket.Remote || near.Socket.Remote != far.Socket.Local {
		t.Errorf("%s: sockets %+v and %+v", kind, near.Socket, far.Socket)
	}
	for _, end := range []watchdog.Transfer{near, far} {
		want := 1
		if end.Direction == watchdog.Rx {
			want = 2
		}
		if len(end.Procs) != want || len(end.Socket.Refs) == 0 {
			t.Errorf("%s: %s %v has processes %v and holders %v", kind, end.Via, end.Direction, end.Procs, end.Socket.Refs)
		}
		if end.Link != 1 || !end.TCP.Known || end.TCP.MSS <= 0 || end.TCP.RTT <= 0 || end.TCP.RcvWscale == 0 || end.Age <= 0 {
			t.Errorf("%s: incomplete: %+v", kind, end)
		}
		if end.File.Pos > bigFile {
			t.Errorf("%s: file %+v", kind, end.File)
		}
	}
}

func TestStopped(t *testing.T) {
	s := newSite(t)
	p := s.probe(Options{})
	s.client("daemon-push", 0)
	var found watchdog.Transfer
	s.await("transfer", func() (ok bool) {
		found, ok = p.by(watchdog.ViaDaemon)
		return ok && len(found.Procs) == 2
	})
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGCONT} {
		for _, id := range found.Procs {
			if err := unix.Kill(id.PID, sig); err != nil {
				t.Fatal(err)
			}
		}
		s.await(sig.String(), func() bool {
			now, ok := p.by(watchdog.ViaDaemon)
			return ok && now.Stopped == (sig == unix.SIGSTOP) && now.ID == found.ID
		})
	}
}

func TestWritableModuleSends(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		if err := os.Rename(s.Path("src/big"), s.Path("local/big")); err != nil {
			t.Fatal(err)
		}
		p := s.probe(opts)
		s.client("daemon-pull-both", 0)
		s.await("direction", func() bool {
			found, ok := p.by(watchdog.ViaDaemon)
			return ok && found.Direction == watchdog.Tx && found.Module == "both"
		})
		if found, ok := p.by(watchdog.ViaDaemon); !ok || found.Timeout != 3*time.Second {
			t.Errorf("timeout %v: the module's own is shorter than what is assumed of the client's", found.Timeout)
		}
	})
}

func TestTimeoutOfTheCommandLine(t *testing.T) {
	s := newSite(t)
	p := s.probe(Options{})
	s.client("ssh-pull", 0, "--timeout=10")
	s.client("daemon-push", 1, "--timeout=10")
	s.await("both", func() bool {
		ssh, a := p.by(watchdog.ViaSSHServer)
		daemon, b := p.by(watchdog.ViaDaemon)
		return a && b && ssh.Timeout == 10*time.Second && daemon.Timeout == 0
	})
}

func TestSudo(t *testing.T) {
	s := newSite(t)
	shell, err := os.ReadFile("/bin/bash")
	if err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(s.Path("sudo"), shell, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("as-root", "rsync \"$@\"\nexit $?\n")
	p := s.probe(Options{})
	s.client("ssh-push", 0, "--rsync-path="+s.Path("sudo")+" "+s.Path("as-root"))
	s.await("transfer under sudo", func() bool {
		found, ok := p.by(watchdog.ViaSSHServer)
		return ok && found.Control == watchdog.ControlLimitOnly && len(found.Parents) > 0 && strings.Contains(found.Why, "sudo")
	})
}

// A person's session, terminal or forward on the connection of an rsync comes
// and goes.
func TestSharedConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		p := s.probe(opts)
		mux := s.Path("mux")
		master := strings.Fields(s.ssh + " -M -N -S " + mux + " root@127.0.0.1")
		s.start(master...)
		s.await("master", func() bool { _, err := os.Stat(mux); return err == nil })
		own := s.ssh
		s.ssh += " -S " + mux
		s.client("ssh-push", 0)
		s.ssh = own
		control := func(want watchdog.Controllable, why string) func() bool {
			return func() bool {
				near, ok := p.by(watchdog.ViaSSHServer)
				return ok && near.Control == want && strings.Contains(near.Why, why)
			}
		}
		s.await("alone on the connection", control(watchdog.ControlFull, ""))
		s.await("the client's end is out of reach", func() bool {
			far, ok := p.by(watchdog.ViaSSHClient)
			return ok && far.Control == watchdog.ControlNone && far.Direction == watchdog.Tx && strings.HasPrefix(string(far.ID), "p")
		})
		s.Write("stay", "")
		session := s.start(append(strings.Fields(s.ssh+" -S "+mux+" root@127.0.0.1"), "while [ -e "+s.Path("stay")+" ]; do sleep 0.1; done")...)
		s.await("a session", control(watchdog.ControlPauseOnly, "serves"))
		if err := os.Remove(s.Path("stay")); err != nil {
			t.Fatal(err)
		}
		s.await("its end", control(watchdog.ControlFull, ""))
		end(session)
		terminal := s.start(append(strings.Fields(s.ssh+" -S "+mux+" -tt root@127.0.0.1"), "touch "+s.Path("there")+"; exec sleep 1000")...)
		s.await("a terminal", control(watchdog.ControlPauseOnly, "terminal"))
		s.await("its shell", func() bool { _, err := os.Stat(s.Path("there")); return err == nil })
		end(terminal)
		s.await("its end", control(watchdog.ControlFull, ""))
		s.Run(strings.Fields(s.ssh + " -S " + mux + " -O forward -R 127.0.0.1:3333:127.0.0.1:3334 root@127.0.0.1")...)
		s.await("a forward", control(watchdog.ControlPauseOnly, "forwards TCP"))
	})
}

func TestSessions(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		p := s.probe(opts)
		s.client("ssh-pull", 0) // carries rsync
		stranger := dialIdle(t, "127.0.0.1:"+sshPort)
		defer stranger()
		s.await("rsync over ssh", func() bool { _, ok := p.by(watchdog.ViaSSHServer); return ok })
		s.Write("stay", "") // without a terminal nothing else ends what runs at the far end
		person := s.start(append(strings.Fields(s.ssh+" root@127.0.0.1"), "while [ -e "+s.Path("stay")+" ]; do sleep 0.1; done")...)
		local := "127.0.0.1:" + sshPort
		var sessions []discovery.Session
		s.await("the session", func() bool {
			sessions = nil
			for _, v := range p.Sessions() {
				if v.Local.String() == local {
					sessions = append(sessions, v)
				}
			}
			return len(sessions) > 0
		})
		if len(sessions) != 1 || sessions[0].Peer.String() != "127.0.0.1" || !sessions[0].Authenticated || time.Since(sessions[0].Since) > time.Minute {
			t.Errorf("sessions: %+v", sessions)
		}
		end(person)
		s.await("its end", func() bool {
			for _, v := range p.Sessions() {
				if v.Local.String() == local {
					return false
				}
			}
			return true
		})
	})
}

// One process for each connection, started by whoever listens, and chrooted.
func TestSocketActivation(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		if _, err := exec.LookPath("systemd-socket-activate"); err != nil {
			t.Skip(err)
		}
		s.Write("inetd.conf", fmt.Sprintf("use chroot = yes\nuid = root\ngid = root\n[jail]\npath = %s\nread only = no\n", s.Path("dst")))
		s.start("systemd-socket-activate", "-l", "127.0.0.1:8875", "--inetd", "-a", "rsync", "--daemon", "--config="+s.Path("inetd.conf"))
		s.await("listener", func() bool { return answers("127.0.0.1:8875") })
		p := s.probe(opts)
		s.start("rsync", "-a", "--bwlimit=2000", s.Path("src")+"/", "rsync://127.0.0.1:8875/jail/")
		s.await("transfer", func() bool {
			f, ok := p.by(watchdog.ViaDaemon)
			return ok && f.Direction == watchdog.Rx && f.Module == "jail" && len(f.Procs) == 2 && f.Control == watchdog.ControlFull &&
				filepath.Base(f.File.Name) == "big"
		})
	})
}

func TestProxyJump(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		p := s.probe(opts)
		s.ssh += " -o ProxyCommand='" + s.ssh + " -W 127.0.0.1:" + s.sshd + " root@127.0.0.1'"
		s.client("ssh-pull", 0)
		s.await("both ends", func() bool {
			far, a := p.by(watchdog.ViaSSHClient)
			near, b := p.by(watchdog.ViaSSHServer)
			return a && b && far.Direction == watchdog.Rx && far.Control == watchdog.ControlLimitOnly && far.Rate > 100e3 &&
				near.Direction == watchdog.Tx && near.Rate > 100e3
		})
	})
}

func TestForeignNamespace(t *testing.T) {
	s := newSite(t)
	p := s.probe(Options{})
	script := fmt.Sprintf("ip link set lo up; rsync --daemon --no-detach --config=%s --port=8874 & sleep 1; rsync -a --bwlimit=2000 rsync://127.0.0.1:8874/src/ %s", s.Path("rsyncd.conf"), s.Path("dst/f/"))
	s.start("unshare", "--net", "sh", "-c", script)
	s.await("foreign transfer", func() bool {
		transfers, _, _ := p.Sample(time.Since(p.began), false)
		for _, f := range transfers {
			if f.Foreign && f.Via == watchdog.ViaDaemon && strings.HasPrefix(f.Path, s.dir) {
				return f.Socket.Netns != p.netns && f.Link == 0 && f.Direction == watchdog.Tx
			}
		}
		return false
	})
}

func TestDiscoveryWithTransfersUnderWay(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		for i, kind := range kinds {
			s.client(kind, i)
		}
		s.await("files", func() bool {
			partial, _ := filepath.Glob(s.Path("dst/*/.big.*"))
			return len(partial) == len(kinds)
		})
		p := s.probe(opts)
		s.await("all ends", func() bool { return len(p.ours()) == 2*len(kinds) })
	})
}
