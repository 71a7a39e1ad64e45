package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostProc is the /proc of before the root was changed: the way to sysctls
// and namespace files from inside. A sysctl below net is that of the network
// namespace of the thread that opens it.
type hostProc struct{ fd int }

func openHostProc() (hostProc, error) {
	fd, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return hostProc{}, fmt.Errorf("open /proc: %w", err)
	}
	return hostProc{fd}, nil
}

func (p hostProc) open(path string, flags int) (*os.File, error) {
	fd, err := unix.Openat(p.fd, path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/%s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), "/proc/"+path), nil
}

// sysctl sets a value below /proc/sys/net.
func (p hostProc) sysctl(path, value string) error {
	f, err := p.open("sys/net/"+path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return fmt.Errorf("set %s: %w", f.Name(), err)
	}
	return nil
}

// namespace is a network namespace with a thread of its own in it.
type namespace struct {
	proc hostProc
	jobs chan func()
	// nl sends route messages inside the namespace, from any thread.
	nl *netlink.Handle
	// ns refers to the namespace, for links that span two.
	ns *os.File
}

// newNamespace makes a new network namespace, or one for the process's own.
func newNamespace(proc hostProc, own bool) (*namespace, error) {
	s := &namespace{proc: proc, jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the process
		ready <- s.enter(own)
		for f := range s.jobs {
			f()
		}
	}()
	return s, <-ready
}

func (s *namespace) enter(own bool) error {
	if !own {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
	}
	var err error
	if s.ns, err = s.proc.open("thread-self/ns/net", unix.O_RDONLY); err != nil {
		return err
	}
	if s.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	lo, err := s.nl.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return s.nl.LinkSetUp(lo)
}

// do runs f on the namespace's thread: sockets that f opens belong to it.
func (s *namespace) do(f func() error) error {
	done := make(chan error)
	s.jobs <- func() { done <- f() }
	return <-done
}

// set writes sysctls, given as pairs of path and value.
func (s *namespace) set(pairs ...string) error {
	return s.do(func() error {
		for i := 0; i+1 < len(pairs); i += 2 {
			if err := s.proc.sysctl(pairs[i], pairs[i+1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// has reports whether the namespace knows a directory below /proc/sys/net.
func (s *namespace) has(path string) bool {
	return s.do(func() error {
		f, err := s.proc.open("sys/net/"+path, unix.O_PATH)
		if err == nil {
			f.Close()
		}
		return err
	}) == nil
}

// up brings a link up.
func (s *namespace) up(name string) error {
	l, err := s.nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %q: %w", name, err)
	}
	if err := s.nl.LinkSetUp(l); err != nil {
		return fmt.Errorf("link %q: set up: %w", name, err)
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
