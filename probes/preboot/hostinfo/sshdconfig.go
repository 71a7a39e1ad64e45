package hostinfo

import (
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxSSHDDepth is how deep sshd follows includes (servconf.c of OpenSSH).
const maxSSHDDepth = 16

// sshdConfig is as much of sshd_config(5) as says where sshd listens.
type sshdConfig struct {
	ports []uint16
	// listen are the ListenAddress lines; port 0 stands for all ports.
	listen []netip.AddrPort
	family string // AddressFamily: any, inet or inet6; the first one counts
}

// read takes in one file, with what it includes. A Match block reaches to the
// end of its file, and neither Port nor ListenAddress counts inside.
func (c *sshdConfig) read(root fs.FS, file string, depth int) {
	text, err := fs.ReadFile(root, strings.TrimPrefix(file, "/"))
	if err != nil || depth > maxSSHDDepth {
		return // sshd would not start; that it does is not asked here
	}
	for line := range strings.Lines(string(text)) {
		key, args := sshdLine(line)
		if key == "match" {
			return
		}
		if key != "include" {
			c.set(key, args)
			continue
		}
		for _, pattern := range args {
			if !path.IsAbs(pattern) {
				pattern = "/etc/ssh/" + pattern
			}
			found, _ := fs.Glob(root, strings.TrimPrefix(pattern, "/")) // a bad pattern matches nothing
			for _, f := range found {
				c.read(root, f, depth+1)
			}
		}
	}
}

// parse takes in what `sshd -T` prints.
func (c *sshdConfig) parse(text string) {
	for line := range strings.Lines(text) {
		c.set(sshdLine(line))
	}
}

// sshdLine splits a line into its keyword, in lower case, and its arguments.
func sshdLine(line string) (key string, args []string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), nil
	}
	rest := strings.TrimPrefix(strings.TrimLeft(line[end:], " \t"), "=")
	return strings.ToLower(line[:end]), sshdArguments(rest)
}

// sshdArguments splits what follows a keyword like sshd does (argv_split in misc.c of
// OpenSSH, since 8.7): blanks separate, single and double quotes group and may stand
// anywhere in an argument, a backslash takes a quote, a backslash, and outside of quotes
// a space as it is, and # at the beginning of an argument starts a comment.
func sshdArguments(s string) (args []string) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return args
		}
		var arg string
		arg, s = sshdArgument(s)
		args = append(args, arg)
	}
}

// sshdArgument reads the first argument of a text, and tells what follows it.
func sshdArgument(s string) (arg, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:]
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func (c *sshdConfig) set(key string, args []string) {
	if len(args) == 0 {
		return
	}
	switch key {
	case "port":
		if n, err := strconv.ParseUint(args[0], 10, 16); err == nil && n > 0 {
			c.ports = append(c.ports, uint16(n))
		}
	case "addressfamily":
		if c.family == "" {
			c.family = args[0]
		}
	case "listenaddress":
		if at, ok := sshdAddress(args[0]); ok {
			c.listen = append(c.listen, at)
		}
	}
}

// sshdAddress reads an address with or without a port. Names are left out: they
// may mean anything at the next boot.
func sshdAddress(s string) (netip.AddrPort, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at, true
	}
	if s == "*" {
		s = "0.0.0.0"
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return netip.AddrPortFrom(a, 0), err == nil
}

// listens are the addresses and ports that sshd listens on; an unspecified
// address stands for all of its family. None where the configuration names no
// port and no address.
func (c *sshdConfig) listens() []netip.AddrPort {
	ports, listen := c.ports, c.listen
	if len(ports) == 0 && len(listen) == 0 {
		return nil
	}
	if len(ports) == 0 {
		ports = []uint16{22}
	}
	if len(listen) == 0 {
		listen = []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), 0), netip.AddrPortFrom(netip.IPv6Unspecified(), 0)}
	}
	var out []netip.AddrPort
	for _, l := range listen {
		if c.family == "inet" && l.Addr().Is6() || c.family == "inet6" && l.Addr().Is4() {
			continue
		}
		for _, p := range ports {
			if l.Port() != 0 {
				p = l.Port()
			}
			if at := netip.AddrPortFrom(l.Addr(), p); !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}
