package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline/watchdog"
)

var (
	here     = Identity{Boot: "b-1", Netns: 4026531840, Daemon: watchdog.ProcID{PID: 10, Start: 100}}
	addrs    = cmpopts.EquateComparable(watchdog.Socket{}.Local)
	nothing  []Entry
	sortFree = cmpopts.EquateEmpty()
)

func window(inode uint64) Entry {
	return Entry{Kind: Window, Transfer: "t1", Socket: watchdog.Socket{
		Inode: inode, Netns: 7, Refs: []watchdog.FDRef{{Proc: watchdog.ProcID{PID: 5, Start: 50}, FD: 3}}}}
}

func paused(pid int) Entry {
	return Entry{Kind: Pause, Transfer: "t1", Proc: watchdog.ProcID{PID: pid, Start: 9}}
}

func open(t *testing.T, dir string, id Identity) *Ledger {
	t.Helper()
	l, damage, err := Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(damage) > 0 {
		t.Fatalf("damage in the ledger: %q", damage)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustAppend(t *testing.T, l *Ledger, entries ...Entry) {
	t.Helper()
	if err := l.Append(entries...); err != nil {
		t.Fatal(err)
	}
}

func wantLive(t *testing.T, dir string, want []Entry) State {
	t.Helper()
	s, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, s.Live(), addrs, sortFree); d != "" {
		t.Errorf("live entries (-want +got):\n%s", d)
	}
	return s
}

func TestReaderSeesWhatWasAppendedAndNotUndone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	qdisc := Entry{Kind: Qdisc, TC: TC{Link: 2, Name: "eth0", Kind: "htb", Handle: 0x4c4c0000, Parent: 0xffffffff}}
	mustAppend(t, l, window(1), window(2), paused(8))
	mustAppend(t, l, qdisc)
	if err := l.Done(window(1).Key(), "window:0:99"); err != nil {
		t.Fatal(err)
	}
	s := wantLive(t, dir, []Entry{window(2), paused(8), qdisc})
	if !s.Known || s.Identity != here {
		t.Errorf("identity %+v, known %v", s.Identity, s.Known)
	}
	if l.Has(window(1).Key()) || !l.Has(window(2).Key()) {
		t.Error("Has disagrees with the file")
	}
}

func TestLaterEntryWithTheSameKeyReplaces(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	a := window(1)
	a.Kind, a.Was, a.Set = Priority, 0, 7
	b := a
	b.Was = 6
	mustAppend(t, l, a, window(2))
	mustAppend(t, l, b)
	wantLive(t, dir, []Entry{b, window(2)})
}

func TestUndoneAndMadeAgainIsOneChange(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	bursts := Entry{Kind: Bursts, Netns: 7, Was: 9}
	mustAppend(t, l, window(1))
	for range 3 {
		mustAppend(t, l, bursts)
		if err := l.Done(bursts.Key()); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, bursts)
	want := []Entry{window(1), bursts}
	wantLive(t, dir, want)
	if d := cmp.Diff(want, l.Live(), addrs); d != "" {
		t.Errorf("in memory (-want +got):\n%s", d)
	}
}

func TestNextDaemonKeepsWhatTheDeadOneLeft(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, open(t, dir, here), window(1), paused(3))
	next := here
	next.Daemon.PID = 11
	l := open(t, dir, next)
	if d := cmp.Diff([]Entry{window(1), paused(3)}, l.Live(), addrs); d != "" {
		t.Error(d)
	}
	if s := wantLive(t, dir, []Entry{window(1), paused(3)}); s.Identity != next {
		t.Errorf("identity %+v, want %+v", s.Identity, next)
	}
}

func TestAnotherBootHasNothingToUndo(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, open(t, dir, here), window(1))
	next := here
	next.Boot = "b-2"
	if live := open(t, dir, next).Live(); len(live) > 0 {
		t.Errorf("live after a reboot: %v", live)
	}
	wantLive(t, dir, nothing)
}

func TestTornTailIsIgnored(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, open(t, dir, here), window(1), window(2))
	b, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
	for cut := last; cut < len(b); cut++ {
		s := parse(b[:cut])
		if d := cmp.Diff([]Entry{window(1)}, s.Live(), addrs); d != "" || len(s.Damage) > 0 {
			t.Fatalf("cut at %d: damage %q\n%s", cut, s.Damage, d)
		}
	}
}

func TestCorruptMiddleIsReportedAndTheRestIsUndone(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, open(t, dir, here), window(1), window(2), window(3))
	path := filepath.Join(dir, File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte{'\n'})
	lines[2][20] ^= 1
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	s := wantLive(t, dir, []Entry{window(1), window(3)})
	if len(s.Damage) != 1 || !strings.Contains(s.Damage[0], "line 3: checksum") {
		t.Errorf("damage %q", s.Damage)
	}
	l, damage, err := Open(dir, here)
	if err != nil || len(damage) != 1 {
		t.Fatalf("open: %q, %v", damage, err)
	}
	defer l.Close()
	wantLive(t, dir, []Entry{window(1), window(3)})
}

func TestCorruptHeaderStillUndoes(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, open(t, dir, here), window(1))
	path := filepath.Join(dir, File)
	b, _ := os.ReadFile(path)
	b[0] = 'x'
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := wantLive(t, dir, []Entry{window(1)})
	if s.Known || len(s.Damage) != 1 {
		t.Errorf("known %v, damage %q", s.Known, s.Damage)
	}
	l, _, err := Open(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wantLive(t, dir, []Entry{window(1)})
}

func TestOtherThingsInItsPlaceAreRefused(t *testing.T) {
	cases := []struct {
		name, want string
		make       func(path string) error
	}{
		{"directory", "is a directory, not a regular file", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"fifo", "is a FIFO, not a regular file", func(p string) error { return syscall.Mkfifo(p, 0o600) }},
		{"symlink", "too many levels of symbolic links", func(p string) error { return os.Symlink("/etc/passwd", p) }},
		{"world-writable", "lets others write", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o666))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			_, _, err := Open(dir, here)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the path", err, c.want)
			}
			if _, err := Read(dir); err == nil {
				t.Error("read it all the same")
			}
		})
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no ledger: %v", err)
	}
}

func TestCompactionKeepsTheFileSmall(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	mustAppend(t, l, window(1))
	for i := range 20 * compactDead {
		e := paused(i + 10)
		mustAppend(t, l, e)
		if err := l.Done(e.Key()); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(compactDead+10) * 300; st.Size() > limit {
		t.Errorf("%d bytes, want at most %d", st.Size(), limit)
	}
	wantLive(t, dir, []Entry{window(1)})
}

// A random run of changes, undos and restarts always leaves on file what a
// plain map holds.
func TestFileAgreesWithAModel(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string]Entry{}
	for step := range 4000 {
		e := window(uint64(r.IntN(40)))
		e.Was = step
		switch r.IntN(20) {
		case 0:
			l = open(t, dir, here)
		case 1, 2, 3, 4, 5, 6, 7, 8:
			if err := l.Done(e.Key(), window(uint64(r.IntN(40))).Key()); err != nil {
				t.Fatal(err)
			}
			for k := range model {
				if !l.Has(k) {
					delete(model, k)
				}
			}
		default:
			mustAppend(t, l, e)
			model[e.Key()] = e
		}
		if step%100 != 0 {
			continue
		}
		s, err := Read(dir)
		if err != nil || len(s.Damage) > 0 {
			t.Fatal(err, s.Damage)
		}
		got := map[string]Entry{}
		for _, e := range s.Live() {
			got[e.Key()] = e
		}
		if d := cmp.Diff(model, got, addrs); d != "" {
			t.Fatalf("step %d:\n%s", step, d)
		}
	}
}

func TestTeeCarriesTheSameState(t *testing.T) {
	l := open(t, t.TempDir(), here)
	mustAppend(t, l, window(1), window(2))
	var b bytes.Buffer
	if err := l.Tee(&b); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, paused(4))
	if err := l.Done(window(1).Key()); err != nil {
		t.Fatal(err)
	}
	s := parse(b.Bytes())
	if d := cmp.Diff(l.Live(), s.Live(), addrs); d != "" || len(s.Damage) > 0 {
		t.Errorf("damage %q\n%s", s.Damage, d)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

func TestBrokenTeeDoesNotStopTheLedger(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, here)
	w := &brokenPipe{}
	if err := l.Tee(w); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, window(1))
	mustAppend(t, l, window(2))
	if w.writes != 2 {
		t.Errorf("%d writes to a broken tee, want 2", w.writes)
	}
	wantLive(t, dir, []Entry{window(1), window(2)})
}

func FuzzParse(f *testing.F) {
	s := State{Identity: here}
	s.do(window(1))
	s.do(paused(2))
	b, err := s.encode(nil)
	if err != nil {
		f.Fatal(err)
	}
	done, _ := appendRecord(nil, record{Done: []string{paused(2).Key()}})
	f.Add(append(b, done...))
	f.Add([]byte("00000000 {}\n"))
	f.Add([]byte("zz\n\n 1 2 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parse(b)
		again, err := s.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		t2 := parse(again)
		if d := cmp.Diff(fmt.Sprint(s.Live()), fmt.Sprint(t2.Live())); d != "" {
			t.Error(d)
		}
	})
}
