package sockets

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// As a little-endian host writes them.
const (
	tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0369 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0000000000000000 100 0 0 10 0
   1: 0100000A:0369 0900000A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 200 1 0000000000000000 20 4 30 10 -1
   2: 0100000A:0369 0900000A:9C41 06 00000000:00000000 03:000017A5 00000000     0        0 0 3 0000000000000000
   3: 0100000A:0369 0900000A:9C42 07 00000000:00000000 00:00000000 00000000     0        0 300 1 0
   4: 0100000A:0369 truncated
`
	tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: B80D0120000000000000000001000000:0369 B80D0120000000000000000002000000:9C40 08 00000000:00000000 00:00000000 00000000     0        0 201 1 0
   1: 0000000000000000FFFF00000100000A:0369 0000000000000000FFFF00000900000A:9C43 01 00000000:00000000 00:00000000 00000000     0        0 202 1 0
`
	unixTable = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 400 /tmp/ssh-x/agent.1
0000000000000000: 00000003 00000000 00000000 0001 03 401
0000000000000000: 00000003 00000000 00000000 0002 01 402 /run/log
`
)

func TestParseTables(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the samples are from a little-endian host")
	}
	got := map[uint64]Info{}
	parseTCPTable([]byte(tcpTable), got)
	parseTCPTable([]byte(tcp6Table), got)
	parseUnixTable([]byte(unixTable), got)
	addr := netip.MustParseAddrPort
	want := map[uint64]Info{
		100: {Kind: TCPListening, Local: addr("0.0.0.0:873")},
		200: {Kind: TCPConnected, Local: addr("10.0.0.1:873"), Remote: addr("10.0.0.9:40000")},
		201: {Kind: TCPConnected, Local: addr("[2001:db8::1]:873"), Remote: addr("[2001:db8::2]:40000")},
		202: {Kind: TCPConnected, Local: addr("10.0.0.1:873"), Remote: addr("10.0.0.9:40003")},
		400: {Kind: UnixListening, Path: "/tmp/ssh-x/agent.1"},
		401: {Kind: UnixStream},
	}
	for inode, info := range got {
		if info != want[inode] {
			t.Errorf("socket %d: got %+v, want %+v", inode, info, want[inode])
		}
	}
	if diff := cmp.Diff(len(want), len(got)); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
}

func FuzzParseTables(f *testing.F) {
	f.Add([]byte(tcpTable))
	f.Add([]byte(tcp6Table))
	f.Add([]byte(unixTable))
	f.Fuzz(func(t *testing.T, b []byte) {
		into := map[uint64]Info{}
		parseTCPTable(b, into)
		parseUnixTable(b, into)
		for inode, info := range into {
			if info.Kind == TCPConnected && !info.Remote.IsValid() {
				t.Errorf("socket %d: %+v", inode, info)
			}
		}
	})
}
