package rsync

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/files"
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

// notTransferredFlags are the flags of what is no file of a transfer.
const notTransferredFlags = unix.O_DIRECTORY | unix.O_APPEND | unix.O_PATH

// mayBeTransferred says whether an open file may be one that a transfer reads or
// writes, by what its descriptor shows: a log is appended to, a directory is opened
// as one, and rsync locks nothing that it copies, but "max connections" of a daemon
// locks a file, and so does flock(1) before it starts rsync. Nothing here asks a
// file system, which may hang.
func mayBeTransferred(f proc.FD, info proc.FDInfo) bool {
	return info.Flags&notTransferredFlags == 0 && !info.Locked && !isSpecialPath(f.Path)
}

// isSpecialPath says whether a path leads to no files that are copied. Below /dev,
// only /dev/shm holds such.
func isSpecialPath(path string) bool {
	return strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/")
}

// firstFD is the first descriptor that may be a file of a transfer. Below it
// are standard input, output and error, which a server over ssh gives up.
func firstFD(via watchdog.Via) int {
	if via == watchdog.ViaSSHServer {
		return 0
	}
	return 3
}

// openFile is a file that a process of a transfer has open.
type openFile struct {
	watchdog.File
	pid, num int
	writes   bool
}

// found says whether there is one.
func (o openFile) found() bool { return o.pid != 0 }

// noFile is what is known without one.
var noFile = openFile{File: watchdog.File{Pos: -1, Size: -1}}

// fileFinder looks through what processes have open.
type fileFinder struct{ proc.FS }

// maxFiles is how many descriptors of a process are looked through for its file: rsync
// opens one or two beside those that it was born with.
const maxFiles = 512

// find finds the file that a transfer is at: the one that a process
// writes, else the one that it reads, of the descriptors from first on. size
// asks for the size of a file.
func (f fileFinder) find(pids []int, first int, size func(pid, num int) int64) openFile {
	best := noFile
	for _, pid := range pids {
		fds, _, err := f.FDsFrom(pid, 0, maxFiles)
		if err != nil {
			continue
		}
		for _, open := range fds {
			if open.Num < first || best.writes {
				continue
			}
			if o := f.at(pid, open); o.found() && (o.writes || !best.found()) && !f.inherited(pid, open) {
				best = o
			}
		}
	}
	return best.sized(size)
}

// inherited says whether the parent of a process has the same file open under the
// same number: rsync opens what it copies itself, after its last fork.
func (f fileFinder) inherited(pid int, open proc.FD) bool {
	st, err := f.Stat(pid)
	if err != nil {
		return false
	}
	above, err := f.Fd(st.PPID, open.Num)
	return err == nil && above == open
}

// again looks at the same descriptor once more: a transfer has its next file
// open under the same number as its last one, mostly.
func (f fileFinder) again(last openFile, size func(pid, num int) int64) openFile {
	open, err := f.Fd(last.pid, last.num)
	if err != nil {
		return noFile
	}
	o := f.at(last.pid, open)
	switch {
	case o.writes != last.writes:
		return noFile
	case !o.writes && o.Name == last.Name && o.Pos <= last.Size:
		o.Size = last.Size // which is asked for once: only what is written grows
		return o
	}
	return o.sized(size)
}

// at looks at one open file.
func (f fileFinder) at(pid int, open proc.FD) openFile {
	if open.Kind != proc.FileFD {
		return noFile
	}
	info, err := f.FDInfo(pid, open.Num)
	if err != nil || !mayBeTransferred(open, info) {
		return noFile
	}
	return openFile{
		File:   watchdog.File{Name: open.Path, Pos: info.Pos, Size: -1},
		pid:    pid,
		num:    open.Num,
		writes: info.Flags&unix.O_ACCMODE != unix.O_RDONLY,
	}
}

// sized asks for the size of the file. One that is written grows: its size is
// told only when it is beyond the position.
func (o openFile) sized(size func(pid, num int) int64) openFile {
	if !o.found() {
		return o
	}
	o.Size = size(o.pid, o.num)
	if o.writes {
		o.Name = finalName(o.Name)
		if o.Size <= o.Pos {
			o.Size = -1
		}
	}
	return o
}

// fileSize asks the file system for the size of an open file; -1 when it is
// not a regular one.
func (f fileFinder) fileSize(pid, num int) int64 {
	var st unix.Stat_t
	if err := unix.Stat(f.Path(pid, "fd/"+strconv.Itoa(num)), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1
	}
	return st.Size
}

// noSize is for who must not ask a file system.
func noSize(int, int) int64 { return -1 }

// fileRequest asks for the file that a transfer is at.
type fileRequest struct {
	id    watchdog.TransferID
	procs []watchdog.ProcID
	first int // descriptor
	last  openFile
	write bool // it receives
}

// askForFiles has some transfers' files looked up, those first that waited
// longest. Those whose turn is near go along with one whose turn has come:
// waking who looks them up costs more than a look.
func (p *Probe) askForFiles(now time.Time) {
	if len(p.files) > 0 {
		return // not done with the last ones
	}
	var due []*transfer
	pressing := false
	usual := fileEveryOf(len(p.order))
	for _, t := range p.order {
		every, early := usual, usual/2
		if p.distant(t) {
			every, early = distantRest, distantRest
		} else if t.Idle {
			every, early = idleState, idleState
		}
		waited := now.Sub(t.fileAskedAt)
		if t.visible && waited >= early && now.Sub(t.since) >= fileAfter {
			due = append(due, t)
			pressing = pressing || waited >= every
		}
	}
	if !pressing {
		return
	}
	slices.SortFunc(due, func(a, b *transfer) int { return a.fileAskedAt.Compare(b.fileAskedAt) })
	var requests []fileRequest
	for _, t := range due[:min(len(due), filesPerSample)] {
		t.fileAskedAt = now
		requests = append(requests, fileRequest{
			id: t.ID, procs: t.Procs, first: firstFD(t.Via), last: t.file, write: t.Direction == watchdog.Rx,
		})
	}
	p.files <- requests
}

// fileEveryOf is how often the file of each of n transfers is looked up.
func fileEveryOf(n int) time.Duration {
	return min(max(fileEvery, time.Duration(n)*fileShare), fileLeast)
}

// lookUpFiles answers until the context ends, apart from everything else: a
// dead file system can hang whoever asks it.
func (p *Probe) lookUpFiles(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case requests := <-p.files:
			answers, ok := files.Until(ctx, func() []openFile {
				var answers []openFile
				for _, r := range requests {
					answers = append(answers, p.fileOf(r))
				}
				return answers
			})
			if !ok {
				return nil
			}
			p.mu.Lock()
			for i, r := range requests {
				if t := p.transfers[r.id]; t != nil {
					t.file, t.File = answers[i], answers[i].File
					p.changed = true
				}
			}
			p.mu.Unlock()
		}
	}
}

// fileOf looks one up. A pid that changed hands meanwhile shows nothing.
func (p *Probe) fileOf(r fileRequest) openFile {
	finder := fileFinder{p.proc}
	file := noFile
	if r.last.found() && r.last.writes == r.write {
		file = finder.again(r.last, finder.fileSize)
	}
	if !file.found() {
		pids := make([]int, 0, len(r.procs))
		for _, id := range r.procs {
			pids = append(pids, id.PID)
		}
		file = finder.find(pids, r.first, finder.fileSize)
	}
	for _, id := range r.procs {
		if id.PID == file.pid && !p.sockets.Alive(id) {
			return noFile
		}
	}
	return file
}
