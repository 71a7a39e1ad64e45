package path

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// cpuCase is one way in which the daemon may be ticking.
type cpuCase struct {
	name    string
	tick    time.Duration
	mode    Mode
	targets []netip.Addr
	settle  time.Duration
}

var cpuCases = []cpuCase{
	{"idle,tick-only", time.Second, Idle, nil, 0},
	{"idle,1-target", time.Second, Idle, []netip.Addr{there}, 5 * time.Second},
	{"idle,2-targets-1-deaf", time.Second, Idle, []netip.Addr{there, there6, nobody}, 15 * time.Second},
	{"fast,tick-only", 100 * time.Millisecond, Fast, nil, 0},
	{"fast,1-target-sprint", 100 * time.Millisecond, Fast, []netip.Addr{there}, 0},
	{"fast,1-target", 100 * time.Millisecond, Fast, []netip.Addr{there}, 5 * time.Second},
	{"fast,1-target-calm", 100 * time.Millisecond, Fast, []netip.Addr{there}, 15 * time.Second},
	{"fast,2-targets-1-deaf", 100 * time.Millisecond, Fast, []netip.Addr{there, there6, nobody}, 15 * time.Second},
}

const (
	cpuEnv    = "LIFELINE_TEST_CPU_CASE"
	cpuSpan   = 20 * time.Second
	cpuSprint = 3 * time.Second
	cpuMark   = "percent of a core:"
)

// BenchmarkCPU gives the CPU time of a process that does nothing but sample at
// the daemon's tick, in percent of one core. Run it with -benchtime 1x.
func BenchmarkCPU(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("a network namespace needs root")
	}
	for _, c := range cpuCases {
		b.Run(c.name, func(b *testing.B) {
			var percent float64
			for b.Loop() {
				percent = childCPU(b, c.name)
			}
			b.ReportMetric(percent, "%CPU")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// childCPU runs one case in a process all of whose threads are in one network
// namespace, as the daemon's are.
func childCPU(b *testing.B, name string) (percent float64) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCPUOfOneCase$", "-test.v")
	cmd.Env = append(os.Environ(), cpuEnv+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	_, figure, ok := strings.Cut(string(out), cpuMark)
	if _, serr := fmt.Sscan(figure, &percent); err != nil || serr != nil || !ok {
		b.Fatalf("%v\n%s", err, out)
	}
	return percent
}

// TestCPUOfOneCase is the child of BenchmarkCPU.
func TestCPUOfOneCase(t *testing.T) {
	for _, c := range cpuCases {
		if c.name == os.Getenv(cpuEnv) {
			t.Logf("%s %f", cpuMark, measureCPU(t, c))
			return
		}
	}
	t.Skip("only as the child of BenchmarkCPU")
}

func measureCPU(t *testing.T, c cpuCase) float64 {
	runtime.LockOSThread()
	here, err := netns.Get()
	must(t, err)
	w := &wire{t: t, here: here, peer: newNamespace(t)}
	must(t, netns.Set(here))
	w.up()
	w.sysctl("ping_group_range", "0 2147483647")
	runtime.UnlockOSThread() // every thread is where this one is
	if len(c.targets) > 0 {
		must(t, netlink.RouteReplace(&netlink.Route{Gw: there.AsSlice()}))
	}
	start := time.Now()
	p := started(t, Config{
		Pinger: NewICMP(), Echo: NewEchoSockets(), Router: Routes{}, Store: &fakeStore{},
		Clock: func() time.Duration { return time.Since(start) }, Wall: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	p.SetTargets(c.targets, nil)
	p.SetMode(c.mode)
	span := cpuSpan
	if c.settle == 0 && c.targets != nil {
		span = cpuSprint
	}
	ticks(p, c.tick, c.settle)
	before := cpuTime(t)
	ticks(p, c.tick, span)
	return float64(cpuTime(t)-before) / float64(span) * 100
}

// cpuTime is what this process has used, user and system.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ticks(p *guided, every, span time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for end := time.Now().Add(span); time.Now().Before(end); <-ticker.C {
		p.Sample(p.Clock())
	}
}
