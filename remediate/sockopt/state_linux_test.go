package sockopt

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	want := State{Established: true, MSS: 1448, WindowScale: 9, Window: 70000, Pacing: 1 << 40}
	if err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	if got := c.MinWindow(); got != 2896 {
		t.Errorf("floor %d", got)
	}
	// Linux 5.10 gives no receive window.
	c, err = parseTCPInfo(tcpInfo(int(unsafe.Offsetof(info.Rcv_wnd))))
	want.Window = -1
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
		c            State
		full, wedged bool
	}{
		{State{Window: 65536, MSS: 1448}, false, false},
		{State{Window: 1000, MSS: 1448}, true, false},
		{State{Window: 0, MSS: 1448, Unread: 90000}, true, false},
		{State{Window: 0, MSS: 1448}, true, true},
		{State{Window: -1, Unread: 70, ReceiveBuffer: 100}, false, false},
		{State{Window: -1, Unread: 80, ReceiveBuffer: 100}, true, false},
	}
	for _, c := range cases {
		if c.c.Full() != c.full || c.c.Wedged() != c.wedged {
			t.Errorf("%+v: full %v, wedged %v", c.c, c.c.Full(), c.c.Wedged())
		}
	}
}
