package rsync

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/grouping"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/procevents"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// births notes when processes were forked and when they executed something.
type births struct {
	mu    sync.Mutex
	times map[int]time.Time
}

// watchBirths listens to the proc connector until the test ends.
func watchBirths(t testing.TB) *births {
	t.Helper()
	conn, err := procevents.Open()
	if err != nil {
		t.Skip(err)
	}
	b := &births{times: map[int]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- conn.Run(ctx, func(events []procevents.Event, _ bool) {
			now := time.Now()
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, e := range events {
				if e.Kind != procevents.Exit {
					b.times[e.PID] = now
				}
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

func (b *births) Of(id watchdog.ProcID) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.times[id.PID]
}

// BenchmarkDiscovery measures how long after the birth of the server's rsync
// (the fork of the daemon's child; the exec under sshd) a transfer is known
// with its direction, and how many bytes had come or gone by then.
func BenchmarkDiscovery(b *testing.B) {
	for way, opts := range map[string]Options{"connector": {}, "polling": {NoConnector: true}} {
		for _, kind := range append([]string{"daemon-pull-both"}, kinds...) {
			b.Run(way+"/"+kind, func(b *testing.B) { measureDiscovery(b, kind, opts) })
		}
	}
}

func measureDiscovery(b *testing.B, kind string, opts Options) {
	s := newSite(b)
	s.Run("cp", "-r", s.Path("src")+"/.", s.Path("local"))
	born := watchBirths(b)
	p := s.probe(opts)
	via, want := watchdog.ViaSSHServer, watchdog.Tx
	if kind[0] == 'd' {
		via = watchdog.ViaDaemon
	}
	if kind == "daemon-push" || kind == "ssh-push" {
		want = watchdog.Rx
	}
	var late []time.Duration
	var bytes []uint64
	for i := range b.N {
		c := s.client(kind, i)
		for {
			select {
			case <-p.Appeared():
			case <-time.After(100 * time.Millisecond):
			}
			if t, ok := p.by(via); ok && t.Direction == want {
				known := time.Now()
				time.Sleep(10 * procevents.GatherFor) // the event may not have been noted yet
				late = append(late, known.Sub(born.Of(t.Procs[0])))
				bytes = append(bytes, t.Bytes)
				break
			}
		}
		end(c)
		s.await("end", func() bool { return len(p.ours()) == 0 })
	}
	slices.Sort(late)
	slices.Sort(bytes)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "ms-max")
	b.ReportMetric(float64(bytes[len(bytes)/2]), "bytes-p50")
}

// BenchmarkSample measures one Sample with 16 transfers, both ends of eight.
func BenchmarkSample(b *testing.B) {
	s := newSite(b)
	p := s.probe(Options{})
	for i := range 8 {
		s.client(kinds[i%len(kinds)], i, "--bwlimit=100")
	}
	s.await("16 ends", func() bool { return len(p.ours()) == 16 })
	b.ReportAllocs()
	for b.Loop() {
		p.Sample(time.Since(p.began), false)
	}
}

// BenchmarkPass measures discovery's regular look at 16 settled transfers.
func BenchmarkPass(b *testing.B) {
	s := newSite(b)
	p := s.probe(Options{})
	for i := range 8 {
		s.client(kinds[i%len(kinds)], i, "--bwlimit=100")
	}
	s.await("16 ends", func() bool { return len(p.ours()) == 16 })
	table := proctable.New(p.proc, sockets.NewFallback(p.sockets, p.proc), p.sockets)
	table.Events = true
	pids, err := p.proc.PIDs()
	if err != nil {
		b.Fatal(err)
	}
	table.IdentifyAll(pids)
	b.ReportAllocs()
	now := time.Now()
	for b.Loop() {
		now = now.Add(time.Second)
		table.Begin(now)
		transfers, _ := grouping.Group(table, table.Running())
		p.Publish(transfers, now)
	}
}

// BenchmarkCPU measures which part of one core the probe takes at a tick of
// 100 ms (each turn of the benchmark is one): with nothing to do, with 16
// transfers, and while another program does nothing but start processes.
func BenchmarkCPU(b *testing.B) {
	for way, opts := range map[string]Options{"connector": {}, "polling": {NoConnector: true}} {
		for name, begin := range map[string]func(s *site){
			"no transfer":  func(*site) {},
			"16 transfers": startSixteen,
			"fork storm":   func(s *site) { s.start("sh", "-c", "while :; do /bin/true; done") },
		} {
			b.Run(way+"/"+name, func(b *testing.B) {
				s := newSite(b)
				p := s.probe(opts)
				begin(s)
				s.await("transfers", func() bool { n := len(p.ours()); return n == 16 || name != "16 transfers" })
				time.Sleep(time.Second)
				used, forked := cpuTime(b), lastPID(b)
				began := time.Now()
				for b.Loop() {
					p.Sample(time.Since(p.began), false)
					time.Sleep(100 * time.Millisecond)
				}
				spent := time.Since(began).Seconds()
				b.ReportMetric(100*(cpuTime(b)-used).Seconds()/spent, "%cpu")
				b.ReportMetric(float64((lastPID(b)-forked+1<<15)%(1<<15))/spent, "forks/s")
			})
		}
	}
}

func startSixteen(s *site) {
	for i := range 8 {
		s.client(kinds[i%len(kinds)], i, "--bwlimit=500")
	}
}

// cpuTime is what this process has used so far.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lastPID is the last pid that was given out.
func lastPID(t testing.TB) int {
	t.Helper()
	var buf [256]byte
	b, err := proc.ReadFile("/proc/loadavg", buf[:])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := proc.ParseLastPID(b)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
