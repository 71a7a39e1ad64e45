package sockets

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// States of a connection in /proc/net/tcp (net/tcp_states.h).
const (
	tcpStateListen = 0x0a
	tcpStateClose  = 0x07
)

// parseTCPTable reads /proc/PID/net/tcp or tcp6 (proc(5)) into what is known
// of each socket, by inode. Lines that are not understood are left out.
func parseTCPTable(b []byte, into map[uint64]Info) {
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 10 {
			continue
		}
		local, okLocal := parseHexAddr(f[1])
		remote, okRemote := parseHexAddr(f[2])
		state, errState := strconv.ParseUint(string(f[3]), 16, 8)
		inode, errInode := strconv.ParseUint(string(f[9]), 10, 64)
		if !okLocal || !okRemote || errState != nil || errInode != nil || inode == 0 {
			continue
		}
		switch state {
		case tcpStateListen:
			into[inode] = Info{Kind: TCPListening, Local: local}
		case tcpStateClose:
		default:
			into[inode] = Info{Kind: TCPConnected, Local: local, Remote: remote}
		}
	}
}

// parseHexAddr reads "0100007F:0016": words of the host's byte order that hold
// bytes of the network's, and a port.
func parseHexAddr(b []byte) (netip.AddrPort, bool) {
	host, service, ok := bytes.Cut(b, []byte(":"))
	if !ok {
		return netip.AddrPort{}, false
	}
	raw, errHost := hex.DecodeString(string(host))
	port, errPort := strconv.ParseUint(string(service), 16, 16)
	if errHost != nil || errPort != nil || (len(raw) != 4 && len(raw) != 16) {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		word := raw[i : i+4]
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}

// parseUnixTable reads /proc/PID/net/unix (proc(5)) likewise: streams, and
// whether they listen. It does not tell who is at the other end.
func parseUnixTable(b []byte, into map[uint64]Info) {
	const acceptsConnections = 1 << 16
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 7 || string(f[4]) != "0001" {
			continue
		}
		flags, errFlags := strconv.ParseUint(string(f[3]), 16, 32)
		inode, errInode := strconv.ParseUint(string(f[6]), 10, 64)
		if errFlags != nil || errInode != nil {
			continue
		}
		info := Info{Kind: UnixStream}
		if flags&acceptsConnections != 0 {
			info.Kind = UnixListening
		}
		if len(f) > 7 {
			info.Path = string(f[7])
		}
		into[inode] = info
	}
}
