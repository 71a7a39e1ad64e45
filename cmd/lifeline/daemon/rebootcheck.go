package daemon

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"lifeline/probes/preboot"
	"lifeline/probes/preboot/savedrules"
	"lifeline/watchdog"
)

// rebootCheck asks what `lifeline preboot` asks, so that an unplanned reboot is
// covered too: at start, when a saved file changes, and every few minutes.
type rebootCheck struct {
	stateDir string
	every    time.Duration // 0: never
	log      *slog.Logger

	mu   sync.Mutex
	last watchdog.Reboot
}

// CheckNice is the nice value of the check's process, also beside a daemon that has a
// negative one.
const CheckNice = 10

const (
	rebootFirst = 5 * time.Second  // sessions and links are known by then
	rebootMost  = 60 * time.Second // for one check
)

// String names the task.
func (w *rebootCheck) String() string { return "pre-reboot check" }

// Latest is the latest answer; not Known before the first.
func (w *rebootCheck) Latest() watchdog.Reboot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// rebootEnd is how long a check may take to end when the task is to.
const rebootEnd = 2 * time.Second

// Run checks until ctx ends. It leaves behind a check that hangs on a file, and
// cannot even be killed.
func (w *rebootCheck) Run(ctx context.Context) error {
	if w.every == 0 {
		return nil
	}
	done := make(chan struct{})
	go func() { defer close(done); w.follow(ctx) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(rebootEnd):
	}
	return nil
}

// follow checks until ctx ends. Where files cannot be watched the interval has to
// do.
func (w *rebootCheck) follow(ctx context.Context) {
	// The check's process takes its priority from this thread and dies with
	// it; the thread itself ends with the task.
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), CheckNice); err != nil {
		w.log.Warn("pre-reboot checks run at full priority", "error", err)
	}
	files := newSavedFiles(w.log)
	defer files.close()
	s := rebootSchedule{every: w.every, next: time.Now().Add(rebootFirst)}
	timer := time.NewTimer(rebootFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-files.events():
			if !files.watch.Concerns(e.Name) {
				continue
			}
			s.changed(time.Now())
		case err := <-files.errors(): // events were lost: anything may have changed
			w.log.Warn("saved rules: changes were missed", "error", err)
			s.changed(time.Now())
		case <-timer.C:
			files.letGo() // a check follows: no change is missed
			files.follow()
			files.watch = savedrules.WatchFor(w.check(ctx)...)
			files.follow()
			s.asked(time.Now())
		}
		timer.Reset(time.Until(s.due()))
	}
}

// check asks once, and returns the paths of the files that the answer rests on. A
// check that fails is unknown, never the answer before it.
func (w *rebootCheck) check(ctx context.Context) (paths []string) {
	ctx, cancel := context.WithTimeout(ctx, rebootMost)
	defer cancel()
	now := watchdog.Reboot{Known: true, At: time.Now()}
	r, err := askReboot(ctx, w.stateDir)
	if err != nil {
		now.Verdict, now.Reason = string(preboot.Unknown), err.Error()
	} else {
		now.Verdict, now.Reason = string(r.Verdict), r.Reason
	}
	w.mu.Lock()
	changed := w.last.Verdict != now.Verdict
	w.last = now
	w.mu.Unlock()
	if changed && ctx.Err() == nil {
		w.log.Info("pre-reboot check", "verdict", now.Verdict, "reason", now.Reason)
	}
	for _, f := range r.Files {
		paths = append(paths, f.Path)
	}
	return paths
}

// savedFiles tells when something changes that the answer rests on.
type savedFiles struct {
	fs     *fsnotify.Watcher // nil where nothing can be watched
	watch  savedrules.Watch
	log    *slog.Logger
	warned bool
}

func newSavedFiles(log *slog.Logger) *savedFiles {
	f := &savedFiles{watch: savedrules.WatchFor(), log: log}
	var err error
	if f.fs, err = fsnotify.NewWatcher(); err != nil {
		f.fs = nil
		f.warn(err)
		return f
	}
	f.follow()
	return f
}

// letGo ends all watches: a directory that was moved away has taken its own
// along.
func (f *savedFiles) letGo() {
	if f.fs == nil {
		return
	}
	for _, dir := range f.fs.WatchList() {
		_ = f.fs.Remove(dir) // it may be gone already
	}
}

// follow watches what there is now.
func (f *savedFiles) follow() {
	if f.fs == nil {
		return
	}
	for _, dir := range f.watch.Dirs() {
		err := unix.Access(dir, unix.F_OK)
		if err == nil {
			err = f.fs.Add(dir)
		}
		if err != nil && err != unix.ENOENT {
			f.warn(err)
		}
	}
}

func (f *savedFiles) warn(err error) {
	if !f.warned {
		f.log.Warn("saved rules are not all watched, only checked now and then", "error", err)
	}
	f.warned = true
}

func (f *savedFiles) events() <-chan fsnotify.Event {
	if f.fs == nil {
		return nil
	}
	return f.fs.Events
}

func (f *savedFiles) errors() <-chan error {
	if f.fs == nil {
		return nil
	}
	return f.fs.Errors
}

func (f *savedFiles) close() {
	if f.fs != nil {
		_ = f.fs.Close()
	}
}
