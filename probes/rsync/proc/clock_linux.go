package proc

import (
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Uptime is the time since boot, suspends included: the clock of start times.
func Uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// ticks is USER_HZ, the unit of start times, which is 100 on all
// architectures that Go knows.
const ticks = 100

// SinceBoot is when a process was started.
func SinceBoot(id watchdog.ProcID) time.Duration {
	return time.Duration(id.Start) * (time.Second / ticks)
}
