package sockets

import (
	"net"
	"os"
	"testing"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
	"lifeline/watchdog/tcptest"
)

// BenchmarkMeasure compares the two ways to struct tcp_info of 16 connections.
func BenchmarkMeasure(b *testing.B) {
	d := NewDuplicator(proc.FS{Root: "/proc"})
	self, err := d.proc.Stat(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	var sockets []watchdog.Socket
	for range 16 {
		near, _ := tcptest.Pair(b)
		inode, fd := tcptest.Inode(b, near)
		sockets = append(sockets, watchdog.Socket{Inode: inode, Refs: []watchdog.FDRef{{Proc: self.ID, FD: fd}},
			Local: near.LocalAddr().(*net.TCPAddr).AddrPort(), Remote: near.RemoteAddr().(*net.TCPAddr).AddrPort()})
	}
	b.Run("duplicates", func(b *testing.B) {
		defer d.Retain(func(watchdog.ProcID) bool { return false })
		for b.Loop() {
			for _, s := range sockets {
				err := d.With(s.Refs[0], s.Inode, func(sock int) error { _, err := sockdiag.GetTCPInfo(sock); return err })
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("sock_diag", func(b *testing.B) {
		g := sockdiag.NewClient()
		defer g.Close()
		for b.Loop() {
			n := 0
			if err := g.TCPInfo(sockets, func(int, *sockdiag.TCPInfo) { n++ }); err != nil || n != len(sockets) {
				b.Fatal(n, err)
			}
		}
	})
}
