package cmdline

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte("rsync\x00--server\x00--sender\x00-vlogDtpre.iLsfxCIvu\x00.\x00/a\x00"))
	f.Add([]byte("rsync\x00-e\x00ssh\x00h:a\x00--\x00-b"))
	f.Add([]byte("rsync\x00--timeout"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(strings.Split(string(bytes.TrimRight(b, "\x00")), "\x00"))
		if c.Timeout < 0 {
			t.Errorf("%q: timeout %v", b, c.Timeout)
		}
		c.RemoteSide()
		c.ToDaemon()
		for _, p := range c.Paths {
			ModulePath(p)
		}
	})
}
