package nic

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolCmd is struct ethtool_cmd (linux/ethtool.h). The kernel answers
// ETHTOOL_GSET for every driver, also for those that know only its successor.
type ethtoolCmd struct {
	cmd, supported, advertising uint32
	speed                       uint16 // low half, Mbit/s
	_                           [14]byte
	speedHi                     uint16
	_                           [14]byte
}

// ethtoolRequest is struct ifreq with a pointer in its union (netdevice(7)).
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

const (
	ethtoolUnknown = 1<<32 - 1 // SPEED_UNKNOWN
	bytesPerMbit   = 1e6 / 8
)

// driverSpeed asks for the driver's name and the link's speed in bytes/s. Both
// are for weighing, so a driver that does not answer leaves them empty.
func driverSpeed(fd int, name string) (driver string, speed float64) {
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return "", 0 // no driver behind it, or the link has just gone
	}
	driver = unix.ByteSliceToString(info.Driver[:])
	cmd := ethtoolCmd{cmd: unix.ETHTOOL_GSET}
	req := ethtoolRequest{data: unsafe.Pointer(&cmd)}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(&cmd)
	mbit := uint32(cmd.speedHi)<<16 | uint32(cmd.speed)
	if errno != 0 || mbit == ethtoolUnknown || mbit == 1<<16-1 {
		return driver, 0 // EOPNOTSUPP and "unknown" are the same to us
	}
	return driver, float64(mbit) * bytesPerMbit
}
