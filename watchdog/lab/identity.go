package lab

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// owner is the process a lab belongs to. A pid alone could be a later process.
type owner struct {
	pid   int
	start uint64 // clock ticks since boot, field 22 of /proc/PID/stat
}

// identity names a lab; its text begins every name the lab leaves on the host.
type identity struct {
	owner
	random string // lower-case hex, tells the labs of one process apart
}

func (id identity) String() string {
	return fmt.Sprintf("ll-%d-%d-%s", id.pid, id.start, id.random)
}

// parseIdentity reads a name that starts with an identity, and returns what
// follows it: "" for a directory, the host for a namespace. Other people's
// names are not ok.
func parseIdentity(name string) (id identity, host string, ok bool) {
	f := strings.Split(name, "-")
	if len(f) < 4 || len(f) > 5 || f[0] != "ll" || len(f[3]) != 8 {
		return identity{}, "", false
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid <= 0 {
		return identity{}, "", false
	}
	start, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return identity{}, "", false
	}
	if len(f) == 5 {
		host = f[4]
	}
	return identity{owner{pid, start}, f[3]}, host, true
}

// parseStartTime reads field 22 (starttime) of /proc/PID/stat, see proc(5). The
// command in parentheses may hold spaces and parentheses itself.
func parseStartTime(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("stat %q: no command", stat)
	}
	f := bytes.Fields(stat[end+1:])
	const starttime = 22 - 3 // the first field after the command is field 3
	if len(f) <= starttime {
		return 0, fmt.Errorf("stat %q: %d fields after the command", stat, len(f))
	}
	return strconv.ParseUint(string(f[starttime]), 10, 64)
}
