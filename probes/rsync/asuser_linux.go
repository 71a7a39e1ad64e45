package rsync

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// credentials are those by which a process opens files.
type credentials struct {
	uid, gid uint32
	groups   []uint32
}

// String is a key: equal for equal credentials.
func (c credentials) String() string { return fmt.Sprint(c.uid, c.gid, c.groups) }

// errCredentials says that a process has more than one user or group, as while it
// runs a set-user-ID program: then it is not told whose files it may name.
var errCredentials = errors.New("real, effective, saved and file system ids differ")

// credentials reads /proc/PID/status (proc(5)), in the ids of our own user
// namespace.
func (f procFS) credentials(pid int) (credentials, error) {
	b, err := read(f.path(pid, "status"), make([]byte, maxCmdline))
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
		return credentials{}, fmt.Errorf("status: no ids: %w", errFormat)
	}
	return c, nil
}

// oneID reads the real, effective, saved and file system id, which must be one.
func oneID(b []byte) (uint32, error) {
	ids, err := parseIDs(b)
	if err != nil || len(ids) != 4 {
		return 0, fmt.Errorf("status: %q: %w", b, errFormat)
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
			return nil, fmt.Errorf("status: id %q: %w", f, errFormat)
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

// tree is what a process sees below its root directory, with its own permissions
// and no others.
type tree struct {
	root int // descriptor of its root directory
	who  credentials
}

const (
	maxLinks      = 40  // the kernel's own (MAXSYMLINKS)
	maxComponents = 256 // of a path, with those of its symbolic links
)

var (
	// errNotRegular refuses what is not a file: a pipe would never end, and opening
	// a device may do something.
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than 1 MiB, with all that it includes")
	errLink       = errors.New("a symbolic link that is neither root's nor its reader's own")
	errTooDeep    = errors.New("too many symbolic links or directories")
)

// find resolves a path as that process would. The descriptor that it returns refers
// to the file and has not opened it (O_PATH): so far nothing has happened to it.
func (t tree) find(name string) (fd int, st unix.Stat_t, err error) {
	w := walk{tree: t, dirs: []int{t.root}}
	defer w.close()
	fd, st, err = w.resolve(name)
	if err != nil {
		return -1, st, fmt.Errorf("%q: %w", name, err)
	}
	return fd, st, nil
}

// walk is the way from the root directory to where a path has led so far.
type walk struct {
	tree
	dirs  []int // descriptors; the first one is the root
	links int
	steps int
}

func (w *walk) close() {
	for _, fd := range w.dirs[1:] {
		unix.Close(fd)
	}
}

func (w *walk) resolve(name string) (int, unix.Stat_t, error) {
	left := strings.Split(name, "/")
	if strings.HasPrefix(name, "/") {
		w.up(len(w.dirs))
	}
	for n, part := range left {
		last := n == len(left)-1
		if w.steps++; w.steps > maxComponents {
			return -1, unix.Stat_t{}, errTooDeep
		}
		switch part {
		case "..":
			if err := w.mayGoOn(); err != nil {
				return -1, unix.Stat_t{}, err
			}
			w.up(1)
			fallthrough
		case "", ".":
			if !last {
				continue
			}
			part = "."
		}
		fd, st, err := w.step(part)
		switch {
		case err != nil:
			return -1, st, err
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			target, err := w.target(fd, &st)
			if err != nil {
				return -1, st, err
			}
			return w.resolve(strings.Join(append([]string{target}, left[n+1:]...), "/"))
		case last:
			return fd, st, nil
		}
		w.dirs = append(w.dirs, fd)
	}
	return -1, unix.Stat_t{}, unix.ENOENT
}

// up goes n directories up, the root at most.
func (w *walk) up(n int) {
	for ; n > 0 && len(w.dirs) > 1; n-- {
		unix.Close(w.at())
		w.dirs = w.dirs[:len(w.dirs)-1]
	}
}

// at is the directory that was reached.
func (w *walk) at() int { return w.dirs[len(w.dirs)-1] }

// mayGoOn says whether what was reached is a directory that may be searched.
func (w *walk) mayGoOn() error {
	var dir unix.Stat_t
	if err := unix.Fstat(w.at(), &dir); err != nil {
		return err
	}
	if dir.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if !w.who.allowed(w.at(), &dir, maySearch) {
		return unix.EACCES
	}
	return nil
}

// step takes one name in the directory that was reached.
func (w *walk) step(part string) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := w.mayGoOn(); err != nil {
		return -1, st, err
	}
	fd, err := unix.Openat(w.at(), part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, st, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// target reads a symbolic link and closes it. Links of /proc lead where their text
// does not say, and no configuration lies there.
func (w *walk) target(fd int, st *unix.Stat_t) (string, error) {
	defer unix.Close(fd)
	if w.links++; w.links > maxLinks {
		return "", errTooDeep
	}
	if st.Uid != 0 && st.Uid != w.who.uid {
		return "", errLink
	}
	if made, err := madeUp(fd); made || err != nil {
		return "", errors.Join(err, errNotRegular)
	}
	return readlinkat(fd, "")
}

// madeUp says whether a file lies in /proc or /sys, where reading may do something.
func madeUp(fd int) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return false, err
	}
	return fs.Type == unix.PROC_SUPER_MAGIC || fs.Type == unix.SYSFS_MAGIC, nil
}

// state tells whether a file is still the one that was read, and unchanged.
type state struct {
	dev, ino     uint64
	size         int64
	modified, at unix.Timespec // at: of the last change of owner, mode or contents
	refused      string        // why it was not read
}

func stateOf(st *unix.Stat_t) state {
	return state{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, modified: st.Mtim, at: st.Ctim}
}

// look tells the state of a file or directory without opening it.
func (t tree) look(name string) state {
	fd, st, err := t.find(name)
	if err != nil {
		return state{refused: err.Error()}
	}
	unix.Close(fd)
	return stateOf(&st)
}

// read reads a file of at most most bytes. What has no size is not opened, for
// there is nothing to be read: that holds for the files of the kernel as well.
func (t tree) read(name string, most int) ([]byte, state, error) {
	fd, st, err := t.find(name)
	if err != nil {
		return nil, state{refused: err.Error()}, err
	}
	defer unix.Close(fd)
	text, err := t.readFound(fd, &st, most)
	if err != nil {
		return nil, stateOf(&st), fmt.Errorf("%q: %w", name, err)
	}
	return text, stateOf(&st), nil
}

func (t tree) readFound(fd int, st *unix.Stat_t, most int) ([]byte, error) {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errNotRegular
	case !t.who.allowed(fd, st, mayRead):
		return nil, unix.EACCES
	case st.Size > int64(most):
		return nil, errTooLarge
	case st.Size == 0:
		return nil, nil
	}
	if made, err := madeUp(fd); made || err != nil {
		return nil, errors.Join(err, errNotRegular)
	}
	// Without O_NONBLOCK a lease of its owner (fcntl(2)) would hold up who opens it.
	return readFlags(throughFD(fd), unix.O_NONBLOCK|unix.O_NOCTTY, make([]byte, st.Size))
}

// list lists a directory.
func (t tree) list(name string) ([]string, error) {
	fd, st, err := t.find(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, fmt.Errorf("%q: %w", name, unix.ENOTDIR)
	case !t.who.allowed(fd, &st, mayRead):
		return nil, fmt.Errorf("%q: %w", name, unix.EACCES)
	}
	var list []string
	err = names(throughFD(fd), func(_ int, entry string) {
		if len(list) <= maxListed {
			list = append(list, entry)
		}
	})
	if err == nil && len(list) > maxListed {
		err = fmt.Errorf("%q: more than %d entries", name, maxListed)
	}
	return list, err
}

// maxListed bounds the entries of a directory that is included.
const maxListed = 1024
