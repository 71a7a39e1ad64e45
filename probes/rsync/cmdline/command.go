package cmdline

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Command is what an rsync's own command line says.
type Command struct {
	Daemon  bool   // --daemon
	Server  bool   // --server: the end that was started by the other
	Sender  bool   // --sender: with --server, this end sends the files
	Config  string // --config of a daemon; "" for the default
	Timeout time.Duration
	Params  []string // --dparam and -M of a daemon: "key=value" over its configuration
	Paths   []string // positional arguments, without the "." of a server
	Ports   []uint16 // of a client: those to which it connects when it talks to a daemon
}

// RemoteSide of a client's arguments.
type RemoteSide uint8

const (
	NoRemote          RemoteSide = iota // no argument names another host
	RemoteDestination                   // the last argument does: this end sends
	RemoteSource                        // a source does: this end receives
	RemoteUnknown                       // cannot be told
)

// valued are the long options that take their value from the next argument
// (rsync(1)); with "=" they need no entry. rsyncShort holds the short ones.
var valued = map[string]bool{
	"--address": true, "--backup-dir": true, "--block-size": true, "--bwlimit": true,
	"--checksum-choice": true, "--checksum-seed": true, "--chmod": true, "--chown": true,
	"--compare-dest": true, "--compress-choice": true, "--compress-level": true,
	"--compress-threads": true, "--config": true, "--contimeout": true, "--copy-as": true,
	"--copy-dest": true, "--debug": true, "--dparam": true, "--early-input": true,
	"--exclude": true, "--exclude-from": true, "--files-from": true, "--filter": true,
	"--fsync": false, "--groupmap": true, "--iconv": true, "--include": true,
	"--include-from": true, "--info": true, "--link-dest": true, "--log-file": true,
	"--log-file-format": true, "--log-format": true, "--max-alloc": true, "--max-delete": true,
	"--max-size": true, "--min-size": true, "--modify-window": true, "--only-write-batch": true,
	"--out-format": true, "--outbuf": true, "--partial-dir": true, "--password-file": true,
	"--port": true, "--protocol": true, "--read-batch": true, "--remote-option": true,
	"--rsh": true, "--rsync-path": true, "--skip-compress": true, "--sockopts": true,
	"--stderr": true, "--stop-after": true, "--stop-at": true, "--suffix": true,
	"--temp-dir": true, "--time-limit": true, "--timeout": true, "--usermap": true,
	"--write-batch": true, "--zc": true, "--zl": true, "--zt": true, "--cc": true,
}

// rsyncShort are the short options whose value is the rest of the argument or
// the next one.
const rsyncShort = "efBTM@"

// Parse reads an rsync's argument vector.
func Parse(argv []string) Command {
	var c Command
	if len(argv) == 0 {
		return c
	}
	// The letters that a server gets in one word ("-logDtpre.iLsfxCIvu") end
	// in "e." and the capabilities: there, e has its value in the word.
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		switch {
		case arg == "--":
			c.Paths = append(c.Paths, argv[i+1:]...)
			i = len(argv)
		case strings.HasPrefix(arg, "--"):
			i += c.long(arg, argv[i+1:])
		case len(arg) > 1 && arg[0] == '-':
			i += c.short(arg, argv[i+1:])
		default:
			c.Paths = append(c.Paths, arg)
		}
	}
	if c.Server && len(c.Paths) > 0 && c.Paths[0] == "." {
		c.Paths = c.Paths[1:]
	}
	c.ports()
	return c
}

// long takes one long option and says how many of the next arguments it used.
func (c *Command) long(arg string, next []string) int {
	name, value, inline := strings.Cut(arg, "=")
	used := 0
	if !inline && valued[name] && len(next) > 0 {
		value, used = next[0], 1
	}
	switch name {
	case "--daemon":
		c.Daemon = true
	case "--server":
		c.Server = true
	case "--sender":
		c.Sender = true
	case "--config":
		c.Config = value
	case "--dparam":
		c.Params = append(c.Params, value)
	case "--port":
		if port := parsePort(value); port != 0 {
			c.Ports = []uint16{port}
		}
	case "--timeout":
		c.Timeout = Shorter(c.Timeout, ParseSeconds(value))
	}
	return used
}

// short takes a word of short options, likewise.
func (c *Command) short(arg string, next []string) int {
	n := strings.IndexAny(arg[1:], rsyncShort)
	if n < 0 {
		return 0
	}
	value, used := arg[n+2:], 0
	if value == "" && len(next) > 0 {
		value, used = next[0], 1
	}
	if c.Daemon && arg[n+1] == 'M' {
		c.Params = append(c.Params, strings.TrimPrefix(value, "="))
	}
	return used
}

// ParseSeconds reads rsync's whole seconds; 0 is "no timeout" and unreadable.
func ParseSeconds(s string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// AskedTimeout is the --timeout of what an ssh client asked for, where sshd ran
// something else (a forced command of authorized_keys): the client keeps to
// its own. environ is /proc/PID/environ.
func AskedTimeout(environ []byte) time.Duration {
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		asked, ok := bytes.CutPrefix(variable, []byte("SSH_ORIGINAL_COMMAND="))
		if !ok {
			continue
		}
		words := strings.Fields(strings.NewReplacer("'", "", `"`, "", `\`, "").Replace(string(asked)))
		return Parse(words).Timeout
	}
	return 0
}

// Shorter is the shorter of two timeouts of which 0 is none.
func Shorter(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// OwnTimeout is what this end's own timeout says about a transfer whose other
// end's cannot be seen, and may be shorter: ours is worth telling only when it
// is shorter than what has to be assumed of the other's anyway.
func OwnTimeout(own time.Duration) time.Duration {
	if own > assumedTimeout {
		return 0
	}
	return own
}

// assumedTimeout is the shortest io timeout that is safe with an unknown one:
// a transfer is then held for 2 s at most, 45 % of that.
const assumedTimeout = 4 * time.Second

// RemoteSide says which side of a client's arguments is another host.
func (c Command) RemoteSide() RemoteSide {
	last := len(c.Paths) - 1
	if last < 0 {
		return NoRemote
	}
	sources := 0
	for _, p := range c.Paths[:max(last, 1)] {
		if NamesHost(p) {
			sources++
		}
	}
	switch {
	case last == 0 && sources == 1:
		return RemoteSource // a listing
	case last == 0:
		return NoRemote
	case sources > 0 && NamesHost(c.Paths[last]):
		return RemoteUnknown
	case sources > 0:
		return RemoteSource
	case NamesHost(c.Paths[last]):
		return RemoteDestination
	}
	return NoRemote
}

// NamesHost tells HOST:PATH, HOST::MODULE and rsync://HOST/MODULE from a path:
// a colon before the first slash.
func NamesHost(path string) bool {
	colon, slash := strings.IndexByte(path, ':'), strings.IndexByte(path, '/')
	return colon >= 0 && (slash < 0 || colon < slash)
}

// namesDaemon tells the two forms that talk to an rsync daemon.
func namesDaemon(path string) bool {
	if len(path) >= 8 && strings.EqualFold(path[:8], "rsync://") {
		return true
	}
	return NamesHost(path) && strings.Contains(path, "::")
}

// ToDaemon says whether a client talks to a daemon.
func (c Command) ToDaemon() bool {
	for _, p := range c.Paths {
		if namesDaemon(p) {
			return true
		}
	}
	return false
}

// ModulePath is the part of a remote argument after its host.
func ModulePath(arg string) string {
	if len(arg) >= 8 && strings.EqualFold(arg[:8], "rsync://") {
		_, path, _ := strings.Cut(arg[8:], "/")
		return path
	}
	_, path, _ := strings.Cut(arg, ":")
	return strings.TrimPrefix(path, ":")
}

// IsRsync tells rsync's own executables, also of several versions side by side
// ("rsync-3.2.7"), from the scripts around it ("rsync-ssl", "rrsync").
func IsRsync(base string) bool {
	rest, ok := strings.CutPrefix(base, "rsync")
	if !ok {
		return false
	}
	rest = strings.TrimLeft(rest, "-_.")
	return rest == "" || (rest[0] >= '0' && rest[0] <= '9')
}

// ChangesUser tells the programs under which a command is not to be stopped:
// they stop themselves with it.
func ChangesUser(base string) bool {
	switch base {
	case "sudo", "sudo-rs", "su", "doas", "pkexec", "runuser", "run0", "su-rs":
		return true
	}
	return false
}
