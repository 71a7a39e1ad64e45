package remediate

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	tail := strings.Repeat(" 1", 17)
	st, err := parseStat([]byte("12 (a b) (c)) T 7" + tail + " 4711 5 6"))
	if err != nil || st != (procStat{state: 'T', ppid: 7, start: 4711}) || !st.stopped() {
		t.Errorf("%+v, %v", st, err)
	}
	for _, bad := range []string{"", "12 (x", "12 (x) S 1 2", "12 (x) S 1" + tail + " -1", "12 (x) S x" + tail + " 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a b) (c)) T 7" + strings.Repeat(" 1", 17) + " 4711 5 6"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseStat(b); err == nil && st.state == 0 {
			t.Error("no state and no error")
		}
	})
}

// tcpInfo is what a kernel gives of struct tcp_info, up to n bytes.
func tcpInfo(n int) []byte {
	var t unix.TCPInfo
	b := make([]byte, unsafe.Sizeof(t))
	b[0] = tcpEstablished
	b[6] = 0x97 // receive scale 9, send scale 7
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		b[6] = 0x79
	}
	put := func(off uintptr, v uint32) { binary.NativeEndian.PutUint32(b[off:], v) }
	put(unsafe.Offsetof(t.Advmss), 1448)
	put(unsafe.Offsetof(t.Rcv_mss), 1400)
	put(unsafe.Offsetof(t.Rcv_wnd), 70000)
	binary.NativeEndian.PutUint64(b[unsafe.Offsetof(t.Max_pacing_rate):], 1<<40)
	return b[:n]
}

func TestParseTCPInfo(t *testing.T) {
	var info unix.TCPInfo
	whole := int(unsafe.Sizeof(info))
	c, err := parseTCPInfo(tcpInfo(whole))
	want := connection{established: true, mss: 1448, scale: 9, window: 70000, pacing: 1 << 40}
	if err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	if got := c.floor(); got != 2896 {
		t.Errorf("floor %d", got)
	}
	// Linux 5.10 gives no receive window.
	c, err = parseTCPInfo(tcpInfo(int(unsafe.Offsetof(info.Rcv_wnd))))
	want.window = -1
	if err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	for n := range whole {
		if _, err := parseTCPInfo(tcpInfo(n)); (err == nil) != (n >= int(unsafe.Offsetof(info.Segs_out))) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestFullAndWedged(t *testing.T) {
	cases := []struct {
		c            connection
		full, wedged bool
	}{
		{connection{window: 65536, mss: 1448}, false, false},
		{connection{window: 1000, mss: 1448}, true, false},
		{connection{window: 0, mss: 1448, unread: 90000}, true, false},
		{connection{window: 0, mss: 1448}, true, true},
		{connection{window: -1, unread: 70, buffer: 100}, false, false},
		{connection{window: -1, unread: 80, buffer: 100}, true, false},
	}
	for _, c := range cases {
		if c.c.full() != c.full || c.c.wedged() != c.wedged {
			t.Errorf("%+v: full %v, wedged %v", c.c, c.c.full(), c.c.wedged())
		}
	}
}

func TestSelf(t *testing.T) {
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if id.Boot == "" || id.Netns == 0 || id.Daemon.PID != os.Getpid() || id.Daemon.Start == 0 {
		t.Errorf("%+v", id)
	}
}

func TestScopeArguments(t *testing.T) {
	got := scopeArgs("lifeline-guard-7.scope", 7)
	want := strings.Fields("call --system --quiet org.freedesktop.systemd1 /org/freedesktop/systemd1 " +
		"org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv)) lifeline-guard-7.scope fail 3 Description s")
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("%q", got)
	}
	if rest := strings.Join(got[len(want)+1:], " "); rest != "PIDs au 1 7 CollectMode s inactive-or-failed 0" {
		t.Errorf("%q", rest)
	}
}
