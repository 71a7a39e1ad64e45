package proctable

import (
	"testing"

	"lifeline/probes/rsync/proc"
)

func TestAuthenticated(t *testing.T) {
	for title, want := range map[string]bool{
		"sshd: root@pts/0":                            true,
		"sshd: root@pts/0,pts/1":                      true,
		"sshd: me@example.org@notty":                  true,
		"sshd-session: me@notty":                      true,
		"sshd: me@internal-sftp":                      true,
		"sshd: root [priv]":                           false,
		"sshd: root [net]":                            false,
		"sshd: unknown [priv]":                        false,
		"sshd: [accepted]":                            false,
		"sshd-session: me@notty [priv]":               false,
		"sshd: x@pts/0 [preauth]":                     false,
		"sshd: me@example.org":                        false,
		"sshd: root":                                  false,
		"sshd: /usr/sbin/sshd -f a@notty [listener] ": false,
		"bash": false,
		"":     false,
	} {
		p := &proc.Process{Exe: "sshd", Argv: []string{title}}
		if got := Authenticated(p); got != want {
			t.Errorf("%q: got %v", title, got)
		}
	}
	if Authenticated(&proc.Process{Exe: "sshd-auth", Argv: []string{"sshd: root@notty"}}) {
		t.Error("the process that authenticates")
	}
	if Authenticated(&proc.Process{Exe: "sshd", Argv: []string{"sshd:", "root@notty"}}) {
		t.Error("a command line that is no title")
	}
}
