package rsync

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// temporary is the name that rsync gives to a file while it is received
// (get_tmpname in receiver.c): ".NAME.XXXXXX".
var temporary = regexp.MustCompile(`^\.(.+)\.[A-Za-z0-9]{6}$`)

// finalName is the name that a file being received will have.
func finalName(path string) string {
	dir, base := filepath.Split(path)
	if m := temporary.FindStringSubmatch(base); m != nil {
		base = m[1]
	}
	return dir + base
}

// neither are the flags of what is no file of a transfer.
const neither = unix.O_DIRECTORY | unix.O_APPEND | unix.O_PATH

// transferring says whether an open file may be one that a transfer reads or
// writes, by its flags alone: a log is appended to, a directory is opened as
// one. Nothing here asks a file system, which may hang.
func transferring(f fd, info fdInfo) bool {
	return info.Flags&neither == 0 && !strings.HasPrefix(f.Path, "/dev/") && !strings.HasPrefix(f.Path, "/proc/")
}

// firstFD is the first descriptor that may be a file of a transfer. Below it
// are standard input, output and error, which a server over ssh gives up.
func firstFD(via watchdog.Via) int {
	if via == watchdog.ViaSSHServer {
		return 0
	}
	return 3
}

// openFile finds the file that a transfer is at: the one that a process
// writes, else the one that it reads, of the descriptors from first on. size
// asks for the size of a file.
func (f procFS) openFile(pids []int, first int, size func(pid, num int) int64) (file watchdog.File, writes, reads bool) {
	file = watchdog.File{Pos: -1, Size: -1}
	for _, pid := range pids {
		fds, err := f.fds(pid)
		if err != nil {
			continue
		}
		for _, open := range fds {
			if open.Kind != fdFile || open.Num < first {
				continue
			}
			info, err := f.fdInfo(pid, open.Num)
			if err != nil || !transferring(open, info) {
				continue
			}
			written := info.Flags&unix.O_ACCMODE != unix.O_RDONLY
			if writes || (reads && !written) {
				continue
			}
			writes, reads = written, !written
			file = watchdog.File{Name: open.Path, Pos: info.Pos, Size: size(pid, open.Num)}
			if writes {
				file.Name = finalName(open.Path)
				if file.Size <= file.Pos {
					file.Size = -1 // it grows: how far is not known
				}
			}
		}
	}
	return file, writes, reads
}

// fileSize asks the file system for the size of an open file; -1 when it is
// not a regular one.
func (f procFS) fileSize(pid, num int) int64 {
	st, err := os.Stat(f.path(pid, "fd/"+strconv.Itoa(num)))
	if err != nil || !st.Mode().IsRegular() {
		return -1
	}
	return st.Size()
}

// noSize is for who must not ask a file system.
func noSize(int, int) int64 { return -1 }
