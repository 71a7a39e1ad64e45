package rsyncd

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// grove is a directory with files of several owners.
func grove(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make files of others")
	}
	dir := t.TempDir()
	for name, f := range map[string]struct {
		uid, gid int
		mode     os.FileMode
	}{
		"roots":           {0, 0, 0o600},
		"everybodys":      {0, 0, 0o644},
		"theirs":          {1000, 1000, 0o600},
		"shut":            {1000, 1000, 0o044},
		"groups":          {0, 2000, 0o640},
		"first":           {0, 1000, 0o640},
		"notgroups":       {0, 2000, 0o604},
		"acl":             {0, 0, 0o644},
		"closed/file":     {0, 0, 0o644},
		"passage/file":    {0, 0, 0o644},
		"unlisted/x.conf": {0, 0, 0o644},
	} {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("[x]\n"), 0o600),
			os.Chown(path, f.uid, f.gid), os.Chmod(path, f.mode))
		if err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"up": "../../../theirs", "round": "round", "roots-link": "theirs", "others-link": "theirs", "proc": "/proc/self/status"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Lchown(filepath.Join(dir, "others-link"), 3000, 3000),
		os.Chmod(filepath.Join(dir, "closed"), 0o700), os.Chmod(filepath.Join(dir, "passage"), 0o711),
		os.Chmod(filepath.Join(dir, "unlisted"), 0o711), os.Mkdir(filepath.Join(dir, "proc.d"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTreeReadsWhatItsUserMay(t *testing.T) {
	dir := grove(t)
	them := credentials{uid: 1000, gid: 1000, groups: []uint32{2000}}
	for name, may := range map[string]bool{
		"/roots": false, "/everybodys": true, "/theirs": true, "/shut": false, "/groups": true, "/first": true,
		"/notgroups": false, "/closed/file": false, "/passage/file": true, "/passage/../theirs": true,
		"/closed/../theirs": false, "/up": true, "/round": false, "/roots-link": true, "/others-link": false,
		"//./theirs": true, "/theirs/": false, "/theirs/x": false, "/nowhere": false, "/": false, "": false,
		"/../../theirs": true, strings.Repeat("/.", 300) + "/theirs": false,
	} {
		text, _, err := treeAt(t, dir, them).read(name, 100)
		if got := err == nil && string(text) == "[x]\n"; got != may {
			t.Errorf("%.40q: read %v, want %v: %v", name, got, may, err)
		}
	}
	if _, err := treeAt(t, dir, them).list("/unlisted"); !errors.Is(err, unix.EACCES) {
		t.Errorf("a directory that may not be listed: %v", err)
	}
	if got, err := treeAt(t, dir, credentials{}).list("/unlisted"); err != nil || len(got) != 1 {
		t.Errorf("the same as root: %v, %v", got, err)
	}
	if _, _, err := treeAt(t, dir, credentials{}).read("/others-link", 100); !errors.Is(err, errLink) {
		t.Errorf("root by a link of somebody else: %v", err)
	}
	if _, _, err := treeAt(t, dir, credentials{}).read("/theirs", 3); !errors.Is(err, errTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
}

// The files of the kernel are none to read a configuration from, links in /proc lead
// to whoever follows them, and some files there do something when they are opened.
func TestTreeKeepsOutOfProc(t *testing.T) {
	for _, name := range []string{"/proc/self/status", "/proc/self/exe", "/proc/kmsg", "/proc/version", "/proc/self/root/etc/passwd", "/sys/kernel/uevent_seqnum"} {
		if text, _, err := treeAt(t, "/", credentials{}).read(name, 1<<20); err == nil && len(text) > 0 {
			t.Errorf("%s: read %q", name, text)
		}
	}
}

func TestTreeAndAccessLists(t *testing.T) {
	dir := grove(t)
	list := binary.LittleEndian.AppendUint32(nil, 2) // acl(5), and linux/posix_acl_xattr.h
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 0, 1000}, {4, 4, ^uint32(0)}, {16, 4, ^uint32(0)}, {32, 4, ^uint32(0)}} {
		list = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(list, e.tag), e.perm), e.id)
	}
	if err := unix.Setxattr(filepath.Join(dir, "acl"), "system.posix_acl_access", list, 0); err != nil {
		t.Skipf("no access control lists here: %v", err)
	}
	if _, _, err := treeAt(t, dir, credentials{uid: 1000, gid: 1000}).read("/acl", 100); !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v of a file that a list keeps from the user", err)
	}
}

func TestCredentials(t *testing.T) {
	status := func(uid, gid, groups string) []byte {
		return []byte("Name:\trsync\nUid:\t" + uid + "\nGid:\t" + gid + "\nFDSize:\t64\nGroups:\t" + groups + " \n")
	}
	got, err := parseCredentials(status("7\t7\t7\t7", "8\t8\t8\t8", "9 3"))
	if err != nil || got.key() != (credentials{uid: 7, gid: 8, groups: []uint32{3, 9}}).key() {
		t.Errorf("got %v, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"set-user-ID": status("7\t0\t0\t0", "8\t8\t8\t8", ""), "saved": status("7\t7\t0\t7", "8\t8\t8\t8", ""),
		"group": status("7\t7\t7\t7", "8\t0\t8\t8", ""), "short": status("7", "8\t8\t8\t8", ""), "none": nil,
		"no number": status("7\t7\t7\t7", "8\t8\t8\t8", "x"),
	} {
		if got, err := parseCredentials(b); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// What a user makes as costly as it can is read in no time.
func TestParseConfigIsLinear(t *testing.T) {
	modules := func(n int) string { return strings.Repeat("[x]\npath = /x\n", n) }
	for name, text := range map[string]string{
		"continued": strings.Repeat("a\\\n", maxConfig/3),
		"one name":  modules(maxConfig / 14),
		"many names": func() string {
			var b strings.Builder
			for n := range maxConfig / 8 {
				b.WriteString("[" + string(rune('a'+n%26)) + strings.Repeat("x", n%7) + string(rune('0'+n/7%60)) + "]\n")
			}
			return b.String()
		}(),
	} {
		began := time.Now()
		_, _ = parseConfig("/c", textFiles{"/c": text}.read, textFiles{"/c": text}.list)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}
