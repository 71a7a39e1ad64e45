package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

// The size of what is read is asked for once, of what is written each time.
func TestSizeOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, make([]byte, 10), 0o644); err != nil {
		t.Fatal(err)
	}
	finder := fileFinder{proc.FS{Root: "/proc"}}
	for flags, want := range map[int]int{os.O_RDONLY: 1, os.O_RDWR: 3} {
		file, err := os.OpenFile(name, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		asked := 0
		size := func(pid, num int) int64 {
			asked++
			return finder.fileSize(pid, num)
		}
		at := openFile{
			File: watchdog.File{Name: "another", Size: 1000},
			pid:  os.Getpid(), num: int(file.Fd()), writes: flags != os.O_RDONLY,
		}
		for range 3 {
			at = finder.again(at, size)
		}
		if at.Name != name || at.Size != 10 || asked != want {
			t.Errorf("flags %#x: asked %d times, want %d, for %+v", flags, asked, want, at)
		}
	}
}

// What a daemon locks to count its connections, and what a client got from who
// started it, is no file of a transfer, nor does it show which way one goes.
func TestFileOfATransferIsItsOwn(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, opts Options) {
		if err := os.Rename(s.Path("src/big"), s.Path("local/big")); err != nil {
			t.Fatal(err)
		}
		s.Write("counted.conf", fmt.Sprintf("use chroot = no\nuid = root\ngid = root\nmax connections = 4\nlock file = %[1]s/count\n"+
			"[both]\npath = %[1]s/local\nread only = no\n[dst]\npath = %[1]s/dst\nread only = no\n", s.dir))
		s.start("rsync", "--daemon", "--no-detach", "--config="+s.Path("counted.conf"), "--port=8876")
		s.await("listener", func() bool { return answers("127.0.0.1:8876") })
		p := s.probe(opts)
		url := "rsync://127.0.0.1:8876/"
		for what, c := range map[string]struct {
			from, to string
			near     watchdog.Direction
		}{
			"pull": {url + "both/", s.Path("dst/pulled/"), watchdog.Tx},
			"push": {s.Path("local/"), url + "dst/pushed/", watchdog.Rx},
		} {
			script := fmt.Sprintf("exec 7<%[1]s/id 8>%[1]s/held 9>%[1]s/open; flock 8; rsync -a --bwlimit=2000 %[2]s %[3]s; exit", s.dir, c.from, c.to)
			client := s.start("sh", "-c", script)
			s.await(what, func() bool {
				near, a := p.by(watchdog.ViaDaemon)
				far, b := p.by(watchdog.ViaDaemonClient)
				for _, end := range []watchdog.Transfer{near, far} {
					if name := filepath.Base(end.File.Name); a && b && name != "big" && name != "." {
						t.Fatalf("%s: at %s", what, end.File.Name)
					}
				}
				return a && b && near.File.Pos > 0 && far.File.Pos > 0 && near.Rate > 100e3
			})
			if near, ok := p.by(watchdog.ViaDaemon); !ok || near.Direction != c.near {
				t.Errorf("%s: the daemon's end is %v", what, near.Direction)
			}
			end(client)
			s.await("end of "+what, func() bool { return len(p.ours()) == 0 })
		}
	})
}

func TestSpecialPaths(t *testing.T) {
	for path, want := range map[string]bool{
		"/dev/null": true, "/dev/pts/1": true, "/proc/1/stat": true,
		"/dev/shm/backup/a": false, "/srv/dev/null": false, "/device": false,
	} {
		if isSpecialPath(path) != want {
			t.Errorf("%s: got %v", path, !want)
		}
	}
}

func TestFinalName(t *testing.T) {
	if got := finalName("/a/b/.c.tar.gz.a1B2c3"); got != "/a/b/c.tar.gz" {
		t.Errorf("final name: %q", got)
	}
	for _, plain := range []string{"/a/.hidden", "/a/b.a1B2c3", "/a/.x.a1B2c", "/a/..a1B2c3"} {
		if got := finalName(plain); got != plain {
			t.Errorf("final name of %q: %q", plain, got)
		}
	}
}

func FuzzFinalName(f *testing.F) {
	f.Add("socket:[1]")
	f.Add("/a (deleted)")
	f.Add("/a/.b.a1B2c3")
	f.Fuzz(func(t *testing.T, target string) {
		if got := finalName(target); len(got) > len(target) {
			t.Errorf("final name of %q: %q", target, got)
		}
	})
}
