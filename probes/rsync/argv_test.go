package rsync

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseCommand(t *testing.T) {
	for line, want := range map[string]command{
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
		if diff := cmp.Diff(want, parseCommand(strings.Fields(line))); diff != "" {
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
		if got := askedTimeout([]byte(environ)); got != want {
			t.Errorf("%q: got %v, want %v", environ, got, want)
		}
	}
}

func TestRemote(t *testing.T) {
	for args, want := range map[string]remoteness{
		"a b": isLocal, "a": isLocal, "": isLocal, "./a:b c": isLocal, "/a:b c": isLocal,
		"a h:b": toRemote, "a b h::m": toRemote, "a rsync://h/m": toRemote, "a u@[fe80::1]:b": toRemote,
		"h:a b": fromRemote, "h::m": fromRemote, "h:a :b c": fromRemote, "RSYNC://h:8873/m/ .": fromRemote, "h:": fromRemote,
		"h:a h:b": remoteMixed,
	} {
		c := command{Paths: strings.Fields(args)}
		if got := c.remote(); got != want {
			t.Errorf("%q: got %d, want %d", args, got, want)
		}
	}
}

func TestModulePath(t *testing.T) {
	for arg, want := range map[string]string{
		"rsync://u@h:873/mod/a": "mod/a", "h::mod/a": "mod/a", "h:/a/b": "/a/b", "h:": "", "rsync://h": "",
	} {
		if got := modulePath(arg); got != want {
			t.Errorf("%q: got %q, want %q", arg, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"rsync": true, "rsync-3.2.7": true, "rsync3": true, "rsync (deleted)": false,
		"rsyncd": false, "rsync-ssl": false, "rrsync": false, "rsyslogd": false, "": false,
	} {
		if got := isRsync(name); got != want {
			t.Errorf("isRsync(%q) = %v", name, got)
		}
	}
	if got := baseName("/usr/bin/rsync (deleted)"); got != "rsync" {
		t.Errorf("base name of a deleted executable: %q", got)
	}
	if got := finalName("/a/b/.c.tar.gz.a1B2c3"); got != "/a/b/c.tar.gz" {
		t.Errorf("final name: %q", got)
	}
	for _, plain := range []string{"/a/.hidden", "/a/b.a1B2c3", "/a/.x.a1B2c", "/a/..a1B2c3"} {
		if got := finalName(plain); got != plain {
			t.Errorf("final name of %q: %q", plain, got)
		}
	}
}
