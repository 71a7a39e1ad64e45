package preboot

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/probes/iptables"
)

// secret stands for what a file says that nobody may read by its name in a host
// description.
const secret = "CANARY"

// keysOfFiles are the keys of a description that name files.
var keysOfFiles = []string{"ipsets", "rules4_other_backend", "nft", "arptables"}

func describedWith(t *testing.T, dir, key, path string) Options {
	t.Helper()
	var value any = path
	if key == "nft" {
		value = []string{path}
	}
	text, err := json.Marshal(map[string]any{key: value})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "host.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Backend: iptables.NFT, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Ports: []uint16{22},
		HostFile: filepath.Join(dir, "host.json"), Rules4: []string{filepath.Join(dir, "rules")},
	}
}

// allOf is all that a caller gets to see of an answer.
func allOf(t *testing.T, o Options) string {
	t.Helper()
	r, err := Check(t.Context(), o)
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	return string(text) + b.String()
}

// A description names files of its own folder, and no other.
func TestDescriptionStaysInItsFolder(t *testing.T) {
	away := tree(t, map[string]string{"secret": secret + "\n"})
	dir := tree(t, map[string]string{"rules": openRules4(), "sub/x": "", "inc.nft": "include \"/link\"\n"})
	for name, to := range map[string]string{
		"link": filepath.Join(away, "secret"), "out": away, "sub/up": "../../" + filepath.Base(filepath.Dir(away)) + "/" + filepath.Base(away) + "/secret",
		"magic": "/proc/self/root" + away + "/secret",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	rel, err := filepath.Rel(dir, filepath.Join(away, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOfFiles {
		for _, path := range []string{"link", "out/secret", "sub/up", "magic", rel, "sub/../" + rel} {
			_, err := Check(t.Context(), describedWith(t, dir, key, path))
			if err == nil || !strings.Contains(err.Error(), "leads out of "+dir) || !strings.Contains(err.Error(), "copy the file there") {
				t.Errorf("%s %s: %v", key, path, err)
			}
		}
		// As on the machine that was described, and so to be looked for below the folder.
		_, err := Check(t.Context(), describedWith(t, dir, key, filepath.Join(away, "secret")))
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, away, "secret")+": no such file") {
			t.Errorf("%s by an absolute path: %v", key, err)
		}
	}
	if got := allOf(t, describedWith(t, dir, "nft", "inc.nft")); strings.Contains(got, secret) || !strings.Contains(got, "leads out of") {
		t.Errorf("an include: %s", got)
	}
}

// What is in the folder by chance is not told either, where it is not understood.
func TestDescriptionQuotesNothing(t *testing.T) {
	needTool(t, "iptables-nft-restore", "nft", "ipset", "arptables-nft-restore")
	dir := tree(t, map[string]string{
		"rules": openRules4(),
		"0":     secret + ":x:1\nuser:" + secret + "\n",
		"1":     "create " + secret + " hash:" + secret + "\nadd x" + secret + " 1\n",
		"2":     "*filter\n-A INPUT --" + secret + " -j " + secret + "\nCOMMIT\n",
		"3":     "*filter\n-A INPUT -m " + secret + "\n-A INPUT -p tcp --dport " + secret + " -j ACCEPT\nCOMMIT\n" + secret + "\n",
		"4":     "table inet x { chain y { " + secret + " } }\n" + secret + " {\n",
		"5":     "*filter\n-A INPUT --modprobe=/" + secret + " -j ACCEPT\nCOMMIT\n",
		"6":     "KEY=" + secret + " line 99: " + secret,
	})
	for _, key := range keysOfFiles {
		for n := range 7 {
			got := allOf(t, describedWith(t, dir, key, fmt.Sprint(n)))
			if at := strings.Index(got, secret); at >= 0 {
				t.Errorf("%s %d: ...%s", key, n, got[max(0, at-200):min(len(got), at+50)])
			}
		}
	}
}

func TestDescriptionThatIsNone(t *testing.T) {
	dir := tree(t, map[string]string{"rules": openRules4(), "x": "!" + secret})
	for _, text := range []string{"!" + secret, `{"links" ?` + secret} {
		o := describedWith(t, dir, "ipsets", "")
		if err := os.WriteFile(o.HostFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Check(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "host.json:1:") || strings.ContainsAny(err.Error(), "!?") || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

// Only what a descriptor shows to be a file is opened at all.
func TestDescribedPipesAndDevicesAreNotOpened(t *testing.T) {
	dir := tree(t, map[string]string{"rules": openRules4(), "inc.nft": "include \"/pipe\"\n"})
	pipe, device := filepath.Join(dir, "pipe"), filepath.Join(dir, "device")
	if err := unix.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	names := []string{pipe}
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err == nil {
		names = append(names, device)
	}
	in, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	for _, name := range names {
		if _, err := unix.InotifyAddWatch(in, name, unix.IN_OPEN); err != nil {
			t.Fatal(err)
		}
		for _, key := range keysOfFiles {
			if _, err := Check(t.Context(), describedWith(t, dir, key, filepath.Base(name))); err == nil || !strings.Contains(err.Error(), "is not a file") {
				t.Errorf("%s %s: %v", key, name, err)
			}
		}
	}
	if _, err := Check(t.Context(), describedWith(t, dir, "nft", "inc.nft")); err != nil {
		t.Error(err)
	}
	o := describedWith(t, dir, "ipsets", "")
	o.Rules4 = []string{device}
	if _, err := Check(t.Context(), o); len(names) > 1 && err == nil {
		t.Error("a device as rules")
	}
	if n, _ := unix.Read(in, make([]byte, 4096)); n > 0 {
		t.Error("one of them was opened")
	}
}
