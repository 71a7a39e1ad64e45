package proc

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
)

func TestParseStat(t *testing.T) {
	const rest = " S 7 1 1 34816 1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n"
	for name, comm := range map[string]string{
		"plain": "rsync", "parentheses": "a) S 1 (b", "newline": "two\nlines", "empty": "", "blank": " ) ",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStat([]byte("42 (" + comm + ")" + rest))
			want := Stat{ID: watchdog.ProcID{PID: 42, Start: 4711}, Comm: comm, State: 'S', PPID: 7, TTY: 34816}
			if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	for _, bad := range []string{"", "(", "1 (x)", "1 (x) S 1", "x (x)" + rest, "1 )x(" + rest} {
		if got, err := ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

func TestParseFD(t *testing.T) {
	for target, want := range map[string]FD{
		"socket:[4711]":       {Num: 3, Kind: SocketFD, Inode: 4711},
		"pipe:[12]":           {Num: 3, Kind: PipeFD, Inode: 12},
		"/data/a (deleted)":   {Num: 3, Kind: FileFD, Path: "/data/a"},
		"anon_inode:[pidfd]":  {Num: 3},
		"socket:[x]":          {Num: 3},
		"/data/socket:[4711]": {Num: 3, Kind: FileFD, Path: "/data/socket:[4711]"},
	} {
		if diff := cmp.Diff(want, parseFD(3, target)); diff != "" {
			t.Errorf("%q: %s", target, diff)
		}
	}
}

func TestParseFDInfo(t *testing.T) {
	got, err := parseFDInfo([]byte("pos:\t5242880\nflags:\t0100002\nmnt_id:\t29\nino:\t7\n"))
	if err != nil || got != (FDInfo{Pos: 5242880, Flags: 0100002}) {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = parseFDInfo([]byte("pos:\t0\nflags:\t0100001\nlock:\t1: FLOCK  ADVISORY  WRITE 900 00:2b:1131 0 EOF\n"))
	if err != nil || got != (FDInfo{Flags: 0100001, Locked: true}) {
		t.Errorf("locked: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "pos:\t1\n", "pos:\tx\nflags:\t0\n", "pos:\t1\nflags:\t9\n"} {
		if _, err := parseFDInfo([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestBaseName(t *testing.T) {
	if got := BaseName("/usr/bin/rsync (deleted)"); got != "rsync" {
		t.Errorf("base name of a deleted executable: %q", got)
	}
}
