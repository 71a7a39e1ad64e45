package rsyncd

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
)

// userTree is what a process sees below its root directory, with its own permissions
// and no others.
type userTree struct {
	root        int // descriptor of its root directory
	credentials credentials
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

// resolve resolves a path as that process would. The descriptor that it returns refers
// to the file and has not opened it (O_PATH): so far nothing has happened to it.
func (t userTree) resolve(name string) (fd int, st unix.Stat_t, err error) {
	w := pathWalk{userTree: t, dirs: []int{t.root}}
	defer w.close()
	fd, st, err = w.resolve(name)
	if err != nil {
		return -1, st, fmt.Errorf("%q: %w", name, err)
	}
	return fd, st, nil
}

// pathWalk is the way from the root directory to where a path has led so far.
type pathWalk struct {
	userTree
	dirs  []int // descriptors; the first one is the root
	links int
	steps int
}

func (w *pathWalk) close() {
	for _, fd := range w.dirs[1:] {
		unix.Close(fd)
	}
}

func (w *pathWalk) resolve(name string) (int, unix.Stat_t, error) {
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
			if err := w.checkSearch(); err != nil {
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
func (w *pathWalk) up(n int) {
	for ; n > 0 && len(w.dirs) > 1; n-- {
		unix.Close(w.at())
		w.dirs = w.dirs[:len(w.dirs)-1]
	}
}

// at is the directory that was reached.
func (w *pathWalk) at() int { return w.dirs[len(w.dirs)-1] }

// checkSearch says whether what was reached is a directory that may be searched.
func (w *pathWalk) checkSearch() error {
	var dir unix.Stat_t
	if err := unix.Fstat(w.at(), &dir); err != nil {
		return err
	}
	if dir.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if !w.credentials.allowed(w.at(), &dir, maySearch) {
		return unix.EACCES
	}
	return nil
}

// step takes one name in the directory that was reached.
func (w *pathWalk) step(part string) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := w.checkSearch(); err != nil {
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
func (w *pathWalk) target(fd int, st *unix.Stat_t) (string, error) {
	defer unix.Close(fd)
	if w.links++; w.links > maxLinks {
		return "", errTooDeep
	}
	if st.Uid != 0 && st.Uid != w.credentials.uid {
		return "", errLink
	}
	if made, err := onPseudoFS(fd); made || err != nil {
		return "", errors.Join(err, errNotRegular)
	}
	return proc.Readlinkat(fd, "")
}

// onPseudoFS says whether a file lies in /proc or /sys, where reading may do something.
func onPseudoFS(fd int) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return false, err
	}
	return fs.Type == unix.PROC_SUPER_MAGIC || fs.Type == unix.SYSFS_MAGIC, nil
}

// fileState tells whether a file is still the one that was read, and unchanged.
type fileState struct {
	dev, ino     uint64
	size         int64
	modified, at unix.Timespec // at: of the last change of owner, mode or contents
	refused      string        // why it was not read
}

func stateOf(st *unix.Stat_t) fileState {
	return fileState{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, modified: st.Mtim, at: st.Ctim}
}

// state tells the state of a file or directory without opening it.
func (t userTree) state(name string) fileState {
	fd, st, err := t.resolve(name)
	if err != nil {
		return fileState{refused: err.Error()}
	}
	unix.Close(fd)
	return stateOf(&st)
}

// read reads a file of at most most bytes. What has no size is not opened, for
// there is nothing to be read: that holds for the files of the kernel as well.
func (t userTree) read(name string, most int) ([]byte, fileState, error) {
	fd, st, err := t.resolve(name)
	if err != nil {
		return nil, fileState{refused: err.Error()}, err
	}
	defer unix.Close(fd)
	text, err := t.readFound(fd, &st, most)
	if err != nil {
		return nil, stateOf(&st), fmt.Errorf("%q: %w", name, err)
	}
	return text, stateOf(&st), nil
}

func (t userTree) readFound(fd int, st *unix.Stat_t, most int) ([]byte, error) {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errNotRegular
	case !t.credentials.allowed(fd, st, mayRead):
		return nil, unix.EACCES
	case st.Size > int64(most):
		return nil, errTooLarge
	case st.Size == 0:
		return nil, nil
	}
	if made, err := onPseudoFS(fd); made || err != nil {
		return nil, errors.Join(err, errNotRegular)
	}
	// Without O_NONBLOCK a lease of its owner (fcntl(2)) would hold up who opens it.
	return proc.ReadFileFlags(throughFD(fd), unix.O_NONBLOCK|unix.O_NOCTTY, make([]byte, st.Size))
}

// list lists a directory.
func (t userTree) list(name string) ([]string, error) {
	fd, st, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, fmt.Errorf("%q: %w", name, unix.ENOTDIR)
	case !t.credentials.allowed(fd, &st, mayRead):
		return nil, fmt.Errorf("%q: %w", name, unix.EACCES)
	}
	var list []string
	err = proc.ListDir(throughFD(fd), func(_ int, entry string) {
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
