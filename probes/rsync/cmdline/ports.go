package cmdline

import (
	"bytes"
	"strconv"
	"strings"
)

// daemonPort is where an rsync daemon listens by default.
const daemonPort = 873

// ports completes Ports, which holds --port: that of an URL goes before it.
func (c *Command) ports() {
	if c.Server || c.Daemon || !c.ToDaemon() {
		c.Ports = nil
		return
	}
	for _, p := range c.Paths {
		if port := urlPort(p); port != 0 {
			c.Ports = []uint16{port}
			return
		}
	}
	if len(c.Ports) == 0 {
		c.Ports = []uint16{daemonPort}
	}
}

// ServedPort is where a daemon listens by its command line.
func ServedPort(argv []string) uint16 {
	for i, arg := range argv {
		value, inline := strings.CutPrefix(arg, "--port=")
		if arg == "--port" && i+1 < len(argv) {
			value, inline = argv[i+1], true
		}
		if port := parsePort(value); inline && port != 0 {
			return port
		}
	}
	return daemonPort
}

// urlPort is the port of rsync://[USER@]HOST:PORT/; 0 for none.
func urlPort(arg string) uint16 {
	if len(arg) < 8 || !strings.EqualFold(arg[:8], "rsync://") {
		return 0
	}
	host, _, _ := strings.Cut(arg[8:], "/")
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.HasSuffix(host, "]") {
		return 0
	}
	return parsePort(host[colon+1:])
}

func parsePort(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// ProxyPort is the port of RSYNC_PROXY ("[USER:PASSWORD@]HOST:PORT"), by which a client
// reaches every daemon; 0 for none. environ is /proc/PID/environ.
func ProxyPort(environ []byte) uint16 {
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if proxy, ok := bytes.CutPrefix(variable, []byte("RSYNC_PROXY=")); ok {
			return parsePort(string(proxy[bytes.LastIndexByte(proxy, ':')+1:]))
		}
	}
	return 0
}
