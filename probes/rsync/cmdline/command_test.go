package cmdline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseCommand(t *testing.T) {
	for line, want := range map[string]Command{
		"rsync --server -logDtpre.iLsfxCIvu --timeout=10 . /backup/": {
			Server: true, Timeout: 10 * time.Second, Paths: []string{"/backup/"},
		},
		"rsync --server --sender -vlogDtpre.iLsfxCIvu --bwlimit=2000 . /data/a /data/b": {
			Server: true, Sender: true, Paths: []string{"/data/a", "/data/b"},
		},
		"rsync --server -s":                   {Server: true},
		"rsync --server --daemon .":           {Server: true, Daemon: true, Paths: []string{}},
		"rsync --daemon --config=/etc/r.conf": {Daemon: true, Config: "/etc/r.conf"},
		"rsync --daemon --config /etc/r.conf -M timeout=5 --dparam=path=/x": {
			Daemon: true, Config: "/etc/r.conf", Params: []string{"timeout=5", "path=/x"},
		},
		"rsync -av --timeout 60 --timeout=30 --exclude host:x -e ssh src host:dst": {
			Timeout: 30 * time.Second, Paths: []string{"src", "host:dst"},
		},
		"rsync -avze ssh -T /tmp -B700 host:a -- -b":      {Paths: []string{"host:a", "-b"}},
		"rsync --timeout=x --timeout= --timeout=-1 a b":   {Paths: []string{"a", "b"}},
		"rsync --timeout=99999999999999 --partial-dir":    {},
		"rsync --files-from=- --rsync-path=sudo\x00 / h:": {Paths: []string{"/", "h:"}},
		"rsync": {},
		"":      {},
	} {
		if diff := cmp.Diff(want, Parse(strings.Fields(line))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func TestAskedTimeout(t *testing.T) {
	for environ, want := range map[string]time.Duration{
		"A=1\x00SSH_ORIGINAL_COMMAND=rsync --server -e.i --timeout=10 . 'a b'\x00B=2": 10 * time.Second,
		"SSH_ORIGINAL_COMMAND=rsync '--server' \"--timeout=7\"":                       7 * time.Second,
		"SSH_ORIGINAL_COMMAND=":             0,
		"XSSH_ORIGINAL_COMMAND=--timeout=3": 0,
		"":                                  0,
	} {
		if got := AskedTimeout([]byte(environ)); got != want {
			t.Errorf("%q: got %v, want %v", environ, got, want)
		}
	}
}

func TestRemote(t *testing.T) {
	for args, want := range map[string]RemoteSide{
		"a b": NoRemote, "a": NoRemote, "": NoRemote, "./a:b c": NoRemote, "/a:b c": NoRemote,
		"a h:b": RemoteDestination, "a b h::m": RemoteDestination, "a rsync://h/m": RemoteDestination, "a u@[fe80::1]:b": RemoteDestination,
		"h:a b": RemoteSource, "h::m": RemoteSource, "h:a :b c": RemoteSource, "RSYNC://h:8873/m/ .": RemoteSource, "h:": RemoteSource,
		"h:a h:b": RemoteUnknown,
	} {
		c := Command{Paths: strings.Fields(args)}
		if got := c.RemoteSide(); got != want {
			t.Errorf("%q: got %d, want %d", args, got, want)
		}
	}
}

func TestModulePath(t *testing.T) {
	for arg, want := range map[string]string{
		"rsync://u@h:873/mod/a": "mod/a", "h::mod/a": "mod/a", "h:/a/b": "/a/b", "h:": "", "rsync://h": "",
	} {
		if got := ModulePath(arg); got != want {
			t.Errorf("%q: got %q, want %q", arg, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"rsync": true, "rsync-3.2.7": true, "rsync3": true, "rsync (deleted)": false,
		"rsyncd": false, "rsync-ssl": false, "rrsync": false, "rsyslogd": false, "": false,
	} {
		if got := IsRsync(name); got != want {
			t.Errorf("isRsync(%q) = %v", name, got)
		}
	}
}
