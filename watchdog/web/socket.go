package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another daemon answers on the socket.
var ErrInUse = errors.New("another daemon answers on it: name another socket with --socket")

// Listen makes the control socket: for root, and for the group with that id
// unless it is -1. A socket that a dead daemon left is replaced; anything else
// in its place is refused.
func Listen(path string, gid int) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fail(err)
	}
	if err := clearStale(path); err != nil {
		return fail(err)
	}
	// Bind under a name of its own, give it its mode, then move it into its
	// place: nobody can connect before the mode is right.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false)
	if err := admit(tmp, gid); err != nil {
		return fail(errors.Join(err, l.Close(), os.Remove(tmp)))
	}
	if err := os.Rename(tmp, path); err != nil {
		return fail(errors.Join(err, l.Close(), os.Remove(tmp)))
	}
	return l, nil
}

// admit sets who may connect.
func admit(path string, gid int) error {
	if gid < 0 {
		return os.Chmod(path, 0o600)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

// clearStale removes the socket of a daemon that is gone.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("there is %s in its place: move it away", kindName(st.Mode()))
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(ErrInUse, c.Close())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("somebody else's socket stands there: name another with --socket")
	case !errors.Is(err, unix.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// kindName names what is no socket.
func kindName(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	}
	return "something else (" + m.Type().String() + ")"
}

// Server serves the control socket as a task.
type Server struct {
	Path     string // of the socket, removed at the end
	Listener net.Listener
	Handler  http.Handler

	patient time.Duration // with slow clients; 0: the server's own times
}

// String names the task.
func (s *Server) String() string { return "control socket" }

const (
	mostCallers = 64       // connections to the control socket at once; beyond that the slowest goes
	mostBody    = 64 << 10 // bytes of a request's body
)

// newServer is a server, and the listener to serve from in place of l: together
// they cut slow or hanging clients off and bound their number, so that they hold
// up neither the daemon nor each other. Its times are its own where patient is 0.
func newServer(h http.Handler, l net.Listener, most int, patient time.Duration) (*http.Server, net.Listener) {
	door := &visitors{Listener: l, most: most}
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, mostBody),
		ConnState:         door.note,
		ReadHeaderTimeout: cmp.Or(patient, 2*time.Second),
		ReadTimeout:       cmp.Or(patient, 5*time.Second),
		WriteTimeout:      cmp.Or(patient, 10*time.Second),
		IdleTimeout:       cmp.Or(patient, 30*time.Second),
		MaxHeaderBytes:    8 << 10,
	}, door
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	srv, door := newServer(s.Handler, s.Listener, mostCallers, s.patient)
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(door)
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return os.Remove(s.Path)
	}
	return fmt.Errorf("control socket: %w", err)
}
