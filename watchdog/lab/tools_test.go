package lab

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// tc runs tc(8) in a host.
func tc(t *testing.T, h *Host, args string) {
	t.Helper()
	if out, err := h.Command(t.Context(), "tc", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("tc %s: %v: %s", args, err, out)
	}
}

func TestGatewayManners(t *testing.T) {
	needRoot(t)
	const delay = 30 * time.Millisecond
	for _, c := range []struct {
		name string
		opts Options
		loss float64
		min  time.Duration
	}{
		{"answers beyond the uplink", Options{Gateway: GatewayAnswers, IPv6: true}, 0, 0},
		{"drops", Options{Bottleneck: BeyondGateway, Gateway: GatewayDrops, IPv6: true}, 1, 0},
		{"delays", Options{Bottleneck: BeyondGateway, Gateway: GatewayDelays, IPv6: true}, 0, delay},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.opts.GatewayDelay = delay
			l := newLab(t, c.opts)
			for _, six := range []bool{false, true} {
				p, err := l.Ping(t.Context(), Ping{From: l.Srv, To: l.Gw, IPv6: six, Count: 5, Timeout: 500 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				s := p.Wait()
				if s.Loss() != c.loss || c.loss < 1 && s.Percentile(50) < c.min {
					t.Errorf("IPv6 %v: loss %v, median %v", six, s.Loss(), s.Percentile(50))
				}
			}
		})
	}
}

// TestEchoes measures one lab in every way, idle and against competing
// traffic, and then with a pulled cable.
func TestEchoes(t *testing.T) {
	const base = 120 * time.Millisecond
	l := newLab(t, Options{Rate: 50e6, Queue: 500_000, BaseRTT: base, IPv6: true}) // 80 ms when full
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	admin, err := l.AdminSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	measure := func() map[string]time.Duration {
		t.Helper()
		rtt := map[string]time.Duration{}
		for i, start := range []func(context.Context, Ping) (*Pinger, error){l.Ping, l.Ping, l.PingTCP, l.PingTCP} {
			p, err := start(ctx, Ping{Count: 20, IPv6: i%2 == 1})
			if err != nil {
				t.Fatal(err)
			}
			rtt[fmt.Sprint("echo ", i)] = p.Wait().Percentile(50)
		}
		if rtt["admin"], err = admin.EchoRTT(ctx); err != nil {
			t.Fatal(err)
		}
		return rtt
	}
	for what, rtt := range measure() {
		if rtt < base || rtt > 5*base {
			t.Errorf("idle %s: %v, base is %v", what, rtt, base)
		}
	}
	bulk, err := l.Bulk(ctx, Pull, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer bulk.Stop()
	awaitQueue(ctx, t, l, base+30*time.Millisecond)
	// The relay that makes the base RTT is a process like others: on a busy
	// machine it takes its time, so the rate is waited for.
	for {
		g, err := l.Goodput(ctx, time.Second)
		if err != nil {
			t.Fatalf("bulk never reached its rate: %v", err)
		}
		if g.Pull > 55e6 || g.Push > 10e6 {
			t.Errorf("goodput %+v is more than 50 Mbit/s of pulled bulk", g)
		}
		if g.Pull >= 25e6 {
			t.Logf("%+v, received %d, %v", g, bulk.Received(), measure())
			break
		}
	}
	pullCable(ctx, t, l)
}

// awaitQueue waits until the round-trip time shows a queue.
func awaitQueue(ctx context.Context, t *testing.T, l *Lab, rtt time.Duration) {
	t.Helper()
	for {
		p, err := l.Ping(ctx, Ping{Count: 10})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Wait().Percentile(50); got > rtt && got != Never {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the queue does not show")
		}
	}
}

func pullCable(ctx context.Context, t *testing.T, l *Lab) {
	t.Helper()
	for _, on := range []bool{false, true} {
		if err := l.Srv.SetCarrier(on); err != nil {
			t.Fatal(err)
		}
		err := poll(ctx, 20*time.Second, "the carrier", func() (bool, error) {
			dump, err := l.Srv.Dump()
			return strings.Contains(dump, "up carrier\nlink lo") == on, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.awaitPing(ctx); err != nil {
		t.Error(err)
	}
}

func TestDumpShowsConfigurationOnly(t *testing.T) {
	l := newLab(t, Options{Bottleneck: AtServerLink, IPv6: true})
	const eth0 = "dev eth0 "
	tc(t, l.Cli, "qdisc add "+eth0+"root handle 1: htb default 10")
	tc(t, l.Cli, "class add "+eth0+"parent 1: classid 1:10 htb rate 1gbit")
	tc(t, l.Cli, "filter add "+eth0+"parent 1: protocol ip prio 5 u32 match ip dport 873 0xffff flowid 1:10")
	tc(t, l.Cli, "qdisc add "+eth0+"clsact")
	tc(t, l.Cli, "filter add "+eth0+"ingress protocol ip prio 7 u32 match u8 0 0 action mirred egress mirror dev lo")
	dump := func(h *Host) string {
		t.Helper()
		text, err := h.Dump()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := dump(l.Cli)
	for _, want := range []string{
		"link eth0 veth mtu 1500", "address eth0 10.77.0.2/24", "address eth0 fd77::2/64",
		"qdisc eth0 htb 1:0 parent root", "qdisc eth0 clsact ffff:0", "class eth0 htb 1:10 parent root",
		"filter eth0 u32 0x80000800 info 0x50008 parent 1:0", "filter eth0 u32 0x80000800 info 0x70008 parent ffff:fff2", `"mirred"`,
	} {
		if !strings.Contains(before, want) {
			t.Errorf("no %q", want)
		}
	}
	if srv := dump(l.Srv); !strings.Contains(srv, "qdisc eth0 tbf 1:0 parent root") {
		t.Errorf("srv's bottleneck does not show:\n%s", srv)
	}
	p, err := l.Ping(t.Context(), Ping{From: l.Cli, Count: 20, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if after := dump(l.Cli); after != before {
		t.Errorf("traffic alone changed the dump:\n%s\nwas\n%s", after, before)
	}
	tc(t, l.Cli, "filter del "+eth0+"parent 1: prio 5")
	if after := dump(l.Cli); after == before {
		t.Error("a removed filter does not show")
	}
}

func TestCommandRunsInHost(t *testing.T) {
	l := newLab(t, Options{})
	inode, path := l.Mgmt.Netns()
	out, err := l.Mgmt.Command(t.Context(), "readlink", "/proc/self/ns/net").Output()
	if want := fmt.Sprintf("net:[%d]\n", inode); err != nil || string(out) != want {
		t.Errorf("namespace %q, want %q: %v", out, want, err)
	}
	out, err = l.Mgmt.Command(t.Context(), "stat", "-L", "-c", "%i", path).Output()
	if want := fmt.Sprintln(inode); err != nil || string(out) != want {
		t.Errorf("%s is %q, want %q: %v", path, out, want, err)
	}
	own, err := os.ReadDir("/sys/fs/cgroup")
	if err != nil {
		t.Skip("no cgroup file system to be visible: ", err)
	}
	out, err = l.Mgmt.Command(t.Context(), "ls", "-A", "/sys/fs/cgroup").Output()
	if n := len(strings.Fields(string(out))); err != nil || n != len(own) {
		t.Errorf("/sys/fs/cgroup has %d entries, %d here: %v", n, len(own), err)
	}
	if _, err := l.Mgmt.Command(t.Context(), "ls", "/nonexistent").Output(); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("a failure without its stderr: %v", err)
	}
}

func TestTransferFailureIsReported(t *testing.T) {
	l := newLab(t, Options{Files: 1, FileSize: 4 << 20, Rate: 1e6})
	b, err := l.Start(t.Context(), Transfers{N: 2, Args: []string{"--no-such-option"}})
	if err != nil {
		t.Fatal(err)
	}
	if status := b[0].ExitStatus(); status != 1 || !strings.Contains(b[0].Stderr(), "no-such-option") {
		t.Errorf("status %d, stderr %q", status, b[0].Stderr())
	}
	if err := b.Wait(); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("wait: %v", err)
	}
	b, err = l.Start(t.Context(), Transfers{Dir: Pull})
	if err != nil {
		t.Fatal(err)
	}
	b.Stop()
	if status := b[0].ExitStatus(); status != -1 {
		t.Errorf("killed, but status %d", status)
	}
	if err := l.VerifyChecksums(t.Context()); err == nil {
		t.Error("failed transfers were verified")
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{
		{Bottleneck: 7}, {Gateway: -1}, {Rate: 1}, {Queue: 1}, {SendBuffer: 5 << 20}, {SSHPort: 70000}, {Files: -1},
		{RsyncdTimeout: time.Millisecond}, {BaseRTT: -1}, {BaseRTT: time.Millisecond, Rate: 10e9},
	} {
		if l, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v was built", o)
			l.Close()
		}
	}
}
