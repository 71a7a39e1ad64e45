package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// container is a network namespace behind the server, as a container engine
// makes them, with an rsync daemon in it. Clients reach it as rsync://10.99.0.2/m.
func (s *stage) container() {
	s.Helper()
	name, dir := fmt.Sprintf("lifeline-ctr-%d", os.Getpid()), s.TempDir()
	s.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() }) // one that was not made is as good
	run := func(argv ...string) {
		s.Helper()
		var cmd interface{ CombinedOutput() ([]byte, error) }
		switch argv[0] {
		case "srv":
			cmd = s.lab.Srv.Command(s.Context(), argv[1], argv[2:]...)
		case "cli":
			cmd = s.lab.Cli.Command(s.Context(), argv[1], argv[2:]...)
		default:
			cmd = exec.CommandContext(s.Context(), argv[0], argv[1:]...)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			s.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	for _, line := range []string{
		"ip netns add NAME",
		"srv ip link add vc0 type veth peer name eth0 netns NAME",
		"srv ip addr add 10.99.0.1/24 dev vc0",
		"srv ip link set vc0 up",
		"ip -n NAME addr add 10.99.0.2/24 dev eth0",
		"ip -n NAME link set eth0 up",
		"ip -n NAME route add default via 10.99.0.1",
		"cli ip route add 10.99.0.0/24 via 10.77.0.1",
	} {
		run(strings.Fields(strings.ReplaceAll(line, "NAME", name))...)
	}
	if err := s.lab.Srv.Sysctl("net.ipv4.ip_forward", "1"); err != nil {
		s.Fatal(err)
	}
	conf := filepath.Join(dir, "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nuid = 0\ngid = 0\n[m]\npath = %s\nread only = no\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	// A process of the lab, which ends it with all its children when it closes,
	// wherever they are.
	d := s.lab.Srv.Command(context.WithoutCancel(s.Context()), "ip", "netns", "exec", name, "rsync", "--daemon", "--no-detach", "--config", conf)
	if err := d.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = d.Process.Kill() // it may have ended
		_ = d.Wait()
	})
	s.until("the container's rsync daemon listens", func() bool {
		return s.lab.Cli.Command(s.Context(), "rsync", "--contimeout=5", "rsync://10.99.0.2/").Run() == nil
	})
}

// Transfers in a container are counted and reported, and limited by socket
// options where the operator says so.
//
// Never beside other tests: to this daemon, their transfers are foreign too.
func TestForeignNetworkNamespace(t *testing.T) {
	for _, limit := range []bool{false, true} {
		t.Run(fmt.Sprintf("foreign_netns=%v", limit), func(t *testing.T) {
			s := setStage(t, lab.Options{}, fmt.Sprintf("foreign_netns = %v", limit))
			s.container()
			src := filepath.Join(t.TempDir(), "big")
			if err := os.WriteFile(src, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(src, 1<<30); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				c := s.lab.Cli.Command(t.Context(), "rsync", "--inplace", "--whole-file", src, fmt.Sprintf("rsync://10.99.0.2/m/%d", i))
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					_ = c.Process.Kill() // it may have ended
					_ = c.Wait()
				})
			}
			inside := func() (all []web.Transfer) {
				for _, x := range s.now().Transfers {
					if x.Foreign && x.Via == watchdog.ViaDaemon {
						all = append(all, x)
					}
				}
				return all
			}
			s.until("the container's transfers are known", func() bool { return len(inside()) >= 4 })
			if !limit {
				s.until("they are reported", func() bool { return s.stands(watchdog.Unprotected) })
			} else {
				s.until("they are limited by windows", func() bool {
					n := 0
					for _, x := range inside() {
						if x.InForce.Window > 0 && !x.InForce.Shape {
							n++
						}
					}
					return n >= 4
				})
				if showsShaper(s.dump()) {
					t.Error("a shaper stands, which does not reach them")
				}
			}
		})
	}
}
