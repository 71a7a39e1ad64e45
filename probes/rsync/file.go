package rsync

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

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

// openFile finds the file that a transfer is at: the one that a member
// writes, else the one that it reads. writes and reads say what was seen.
// Files that are appended to are logs.
func (p *Probe) openFile(members []*process) (file watchdog.File, writes, reads bool) {
	file = watchdog.File{Pos: -1, Size: -1}
	for _, m := range members {
		fds, err := p.proc.fds(m.ID.PID)
		if err != nil {
			continue
		}
		for _, f := range fds {
			if f.Kind != fdFile || strings.HasPrefix(f.Path, "/dev/") || strings.HasPrefix(f.Path, "/proc/") {
				continue
			}
			now, mode, ok := p.lookAt(m.ID.PID, f)
			if !ok {
				continue
			}
			switch {
			case mode != os.O_RDONLY && !writes:
				file, writes, reads = now, true, false
			case mode == os.O_RDONLY && !writes && !reads:
				file, reads = now, true
			}
		}
	}
	return file, writes, reads
}

// lookAt reads where a process is in an open regular file, and its access
// mode.
func (p *Probe) lookAt(pid int, f fd) (watchdog.File, int, bool) {
	info, err := p.proc.fdInfo(pid, f.Num)
	if err != nil || info.Flags&syscall.O_APPEND != 0 {
		return watchdog.File{}, 0, false
	}
	st, err := os.Stat(p.proc.path(pid, "fd/"+strconv.Itoa(f.Num)))
	if err != nil || !st.Mode().IsRegular() {
		return watchdog.File{}, 0, false
	}
	mode := int(info.Flags & syscall.O_ACCMODE)
	file := watchdog.File{Name: f.Path, Pos: info.Pos, Size: st.Size()}
	if mode != os.O_RDONLY {
		file.Name = finalName(f.Path)
		if file.Size <= file.Pos {
			file.Size = -1 // it grows: how far is not known
		}
	}
	return file, mode, true
}
