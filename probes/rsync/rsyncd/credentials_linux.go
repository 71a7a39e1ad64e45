package rsyncd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
)

// credentials are those by which a process opens files.
type credentials struct {
	uid, gid uint32
	groups   []uint32
}

// key is a key: equal for equal credentials.
func (c credentials) key() string { return fmt.Sprint(c.uid, c.gid, c.groups) }

// errCredentials says that a process has more than one user or group, as while it
// runs a set-user-ID program: then it is not told whose files it may name.
var errCredentials = errors.New("real, effective, saved and file system ids differ")

// readCredentials reads /proc/PID/status (proc(5)), in the ids of our own user
// namespace.
func readCredentials(f proc.FS, pid int) (credentials, error) {
	b, err := proc.ReadFile(f.Path(pid, "status"), make([]byte, proc.MaxCmdline))
	if err != nil {
		return credentials{}, err
	}
	return parseCredentials(b)
}

func parseCredentials(b []byte) (credentials, error) {
	var (
		c     credentials
		found int
		errs  [3]error
	)
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "Uid":
			c.uid, errs[0] = oneID(value)
		case "Gid":
			c.gid, errs[1] = oneID(value)
		case "Groups":
			c.groups, errs[2] = parseIDs(value)
			slices.Sort(c.groups)
		default:
			continue
		}
		found++
	}
	if err := errors.Join(errs[:]...); err != nil {
		return credentials{}, err
	}
	if found != 3 {
		return credentials{}, fmt.Errorf("status: no ids: %w", proc.ErrFormat)
	}
	return c, nil
}

// oneID reads the real, effective, saved and file system id, which must be one.
func oneID(b []byte) (uint32, error) {
	ids, err := parseIDs(b)
	if err != nil || len(ids) != 4 {
		return 0, fmt.Errorf("status: %q: %w", b, proc.ErrFormat)
	}
	if slices.Min(ids) != slices.Max(ids) {
		return 0, errCredentials
	}
	return ids[0], nil
}

func parseIDs(b []byte) ([]uint32, error) {
	var ids []uint32
	for _, f := range bytes.Fields(b) {
		n, err := strconv.ParseUint(string(f), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("status: id %q: %w", f, proc.ErrFormat)
		}
		ids = append(ids, uint32(n))
	}
	return ids, nil
}

// What permission bits allow.
const (
	mayRead   = 4
	maySearch = 1 // of a directory
)

// allowed says whether these credentials have a permission on an open file
// (path_resolution(7)). Where an access control list says more than the mode does,
// only its owner is believed.
func (c credentials) allowed(fd int, st *unix.Stat_t, want uint32) bool {
	switch {
	case c.uid == 0:
		return true
	case c.uid == st.Uid:
		return st.Mode>>6&want == want
	case hasACL(fd):
		return false
	case c.gid == st.Gid || slices.Contains(c.groups, st.Gid):
		return st.Mode>>3&want == want
	}
	return st.Mode&want == want
}

func hasACL(fd int) bool {
	_, err := unix.Getxattr(throughFD(fd), "system.posix_acl_access", nil)
	return !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP)
}

func throughFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
