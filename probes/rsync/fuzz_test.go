package rsync

import (
	"strings"
	"testing"
)

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b) S 7 1 1 34816 1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n"))
	f.Add([]byte("1 ()"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && s.State == 0 {
			t.Errorf("%q: no state and no error", b)
		}
	})
}

func FuzzParseProc(f *testing.F) {
	f.Add("socket:[1]", []byte("pos:\t1\nflags:\t02\n"))
	f.Add("/a (deleted)", []byte("0.00 0.01 0.05 1/100 4711\n"))
	f.Add("pipe:[]", []byte("1 2 3\n"))
	f.Fuzz(func(t *testing.T, target string, b []byte) {
		if got := parseFD(1, target); got.Kind == fdFile && !strings.HasPrefix(got.Path, "/") {
			t.Errorf("%q: %+v", target, got)
		}
		if strings.Contains(baseName(target), "/") {
			t.Errorf("base name of %q: %q", target, baseName(target))
		}
		if got := finalName(target); len(got) > len(target) {
			t.Errorf("final name of %q: %q", target, got)
		}
		if info, err := parseFDInfo(b); err != nil && info != (fdInfo{}) {
			t.Errorf("%q: %+v with an error", b, info)
		}
		if pid, err := parseLastPID(b); pid < 0 && err == nil {
			t.Errorf("%q: pid %d", b, pid)
		}
		for _, pid := range parsePIDs(b) {
			if pid <= 0 {
				t.Errorf("%q: pid %d", b, pid)
			}
		}
	})
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte("rsync\x00--server\x00--sender\x00-vlogDtpre.iLsfxCIvu\x00.\x00/a\x00"))
	f.Add([]byte("rsync\x00-e\x00ssh\x00h:a\x00--\x00-b"))
	f.Add([]byte("rsync\x00--timeout"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseCommand(parseCmdline(b))
		if c.Timeout < 0 {
			t.Errorf("%q: timeout %v", b, c.Timeout)
		}
		c.remote()
		c.toDaemon()
		for _, p := range c.Paths {
			modulePath(p)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add("timeout = 3\n[a]\npath = /a/%X%\n&include /c\n", "/a/b")
	f.Add("[\n]\n=\n&merge \n\\", "/")
	f.Fuzz(func(t *testing.T, text, dir string) {
		tree := files{"/c": text}
		config, err := parseConfig("/c", tree.read, tree.list)
		if err == nil {
			config.moduleAt(dir)
			config.with([]string{text})
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add(message(eventFork, 7, 7, 42, 42))
	f.Add(message(eventExit, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEvent(b); err != nil && e != (event{}) {
			t.Errorf("%x: %+v with an error", b, e)
		}
	})
}
