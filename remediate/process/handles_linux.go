package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// ErrGone says that a process or socket does not exist any more. For an undo
// that is success.
var ErrGone = errors.New("gone")

// Handles holds a pidfd for each process that was touched. A pidfd keeps
// meaning the same process, so its start time is compared once, when it is
// opened. It is safe for concurrent use; the zero value is ready.
type Handles struct {
	mu  sync.Mutex
	fds map[watchdog.ProcID]int
}

// WithPidfd runs f with the pidfd of p, which is valid only inside f.
func (h *Handles) WithPidfd(p watchdog.ProcID, f func(pidfd int) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, ok := h.fds[p]
	if !ok {
		var err error
		if fd, err = openProcess(p); err != nil {
			return err
		}
		if h.fds == nil {
			h.fds = map[watchdog.ProcID]int{}
		}
		h.fds[p] = fd
	}
	err := f(fd)
	if errors.Is(err, unix.ESRCH) {
		unix.Close(fd)
		delete(h.fds, p)
		return fmt.Errorf("process %s: %w", p, ErrGone)
	}
	return err
}

// Keep closes the pidfds of all processes for which want is false.
func (h *Handles) Keep(want func(watchdog.ProcID) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, fd := range h.fds {
		if !want(p) {
			unix.Close(fd)
			delete(h.fds, p)
		}
	}
}

// Close closes all pidfds.
func (h *Handles) Close() { h.Keep(func(watchdog.ProcID) bool { return false }) }

// openProcess gives a pidfd of exactly p. The order matters: once the pidfd is
// open, a start time that still is p's proves that both mean p.
func openProcess(p watchdog.ProcID) (int, error) {
	if p.PID <= 1 {
		return -1, fmt.Errorf("process %s: refused", p)
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, fmt.Errorf("process %s: %w", p, ErrGone)
	}
	if err != nil {
		return -1, fmt.Errorf("process %s: pidfd_open: %w", p, err)
	}
	st, err := ReadStat(p.PID)
	if err == nil && st.Start != p.Start {
		err = fmt.Errorf("process %s: pid belongs to another process now: %w", p, ErrGone)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Signal sends sig to exactly p; ErrGone when it is not there.
func (h *Handles) Signal(p watchdog.ProcID, sig unix.Signal) error {
	err := h.WithPidfd(p, func(pidfd int) error {
		if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil {
			return fmt.Errorf("process %s: %v: %w", p, sig, err)
		}
		return nil
	})
	if errors.Is(err, unix.ENOSYS) {
		return SignalByPID(p, sig)
	}
	return err
}

// SignalByPID is signal for kernels before 5.3, which have no pidfd_open. Between the
// look and the kill the pid could change hands; it takes a full turn of all
// pids within microseconds.
func SignalByPID(p watchdog.ProcID, sig unix.Signal) error {
	if _, err := StatOf(p); err != nil {
		return err
	}
	err := unix.Kill(p.PID, sig)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %s: %w", p, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("process %s: kill: %w", p, err)
	}
	return nil
}

// maxVetted is how many descriptors of a process are looked through before it may be
// stopped; rsync has some ten.
const maxVetted = 2048

// listens says whether p holds a listening socket.
func (h *Handles) listens(p watchdog.ProcID) (bool, error) {
	dir := "/proc/" + strconv.Itoa(p.PID) + "/fd"
	names, err := someNames(dir, maxVetted+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("process %s: %w", p, ErrGone)
	case err != nil:
		return false, fmt.Errorf("process %s: %w", p, err)
	case len(names) > maxVetted:
		return false, fmt.Errorf("process %s: not stopped: it holds more than %d descriptors, "+
			"and any may be one by which it accepts connections", p, maxVetted)
	}
	for _, n := range names {
		l, err := os.Readlink(filepath.Join(dir, n))
		if err != nil || !strings.HasPrefix(l, "socket:[") {
			continue
		}
		fd, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		yes, err := h.accepts(p, fd)
		if err != nil || yes {
			return yes, err
		}
	}
	return false, nil
}

// someNames lists a directory, most names at most.
func someNames(path string, most int) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// accepts says whether descriptor fd of p is a listening socket.
func (h *Handles) accepts(p watchdog.ProcID, fd int) (yes bool, err error) {
	err = h.WithPidfd(p, func(pidfd int) error {
		dup, err := unix.PidfdGetfd(pidfd, fd, 0)
		if errors.Is(err, unix.EBADF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("process %s: pidfd_getfd: %w", p, err)
		}
		defer unix.Close(dup)
		v, err := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		yes = err == nil && v != 0
		return nil
	})
	return yes, err
}

// ancestors lists the pids of this process and of all above it: none of them
// may ever be stopped.
func ancestors() []int {
	var out []int
	for pid := os.Getpid(); pid > 0 && !slices.Contains(out, pid); {
		out = append(out, pid)
		st, err := ReadStat(pid)
		if err != nil {
			break
		}
		pid = st.PPID
	}
	return out
}

// killTimeout is how long a process that was killed may take to be gone.
const killTimeout = 500 * time.Millisecond

// Kill kills p and waits a moment for its death. After that it is dead or held
// up inside the kernel, and never runs again either way.
func (h *Handles) Kill(p watchdog.ProcID) error {
	if _, err := StatOf(p); err != nil {
		return err // a zombie counts as gone
	}
	if err := h.Signal(p, unix.SIGKILL); err != nil {
		return err
	}
	for end := time.Now().Add(killTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err := StatOf(p); err != nil {
			return nil
		}
	}
	return nil
}
