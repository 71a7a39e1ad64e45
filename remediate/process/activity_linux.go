package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"lifeline/watchdog"
)

// Activity is what a process does at a moment.
type Activity struct {
	Runnable bool          // some thread of it runs, or waits for a processor
	CPU      time.Duration // that all its threads have used so far
}

// clockTick is the unit of times in /proc: USER_HZ is 100 on all architectures that Go
// runs on.
const clockTick = 10 * time.Millisecond

// ActivityOf reads what exactly p does (/proc/PID/task/TID/stat); ErrGone when it is not
// there.
func ActivityOf(p watchdog.ProcID) (Activity, error) {
	if _, err := StatOf(p); err != nil {
		return Activity{}, err
	}
	dir := "/proc/" + strconv.Itoa(p.PID) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return Activity{}, fmt.Errorf("process %s: %w", p, err)
	}
	var a Activity
	for _, t := range threads {
		b, err := os.ReadFile(dir + "/" + t.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		thread, err := parseActivity(b)
		if err != nil {
			return Activity{}, fmt.Errorf("process %s: thread %s: %w", p, t.Name(), err)
		}
		a.Runnable = a.Runnable || thread.Runnable
		a.CPU += thread.CPU
	}
	return a, nil
}

// parseActivity reads fields 3, 14 and 15 of proc(5) stat.
func parseActivity(b []byte) (Activity, error) {
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return Activity{}, fmt.Errorf("stat with %d fields", len(f)+2)
	}
	user, err := strconv.ParseUint(string(f[11]), 10, 63)
	if err != nil {
		return Activity{}, fmt.Errorf("stat user time: %w", err)
	}
	system, err := strconv.ParseUint(string(f[12]), 10, 63)
	if err != nil {
		return Activity{}, fmt.Errorf("stat system time: %w", err)
	}
	return Activity{Runnable: f[0][0] == 'R', CPU: time.Duration(user+system) * clockTick}, nil
}
