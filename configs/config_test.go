package configs

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/engine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The example documents the defaults, and all keys.
func TestExampleIsTheDefault(t *testing.T) {
	got, err := Parse("example.toml", Example)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Default(), got, cmpopts.EquateComparable()); d != "" {
		t.Errorf("the example differs from the defaults (-default +example):\n%s", d)
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	places := keyPlaces(Example)
	for _, key := range tomlKeys(Config{}) {
		if _, ok := places[key]; !ok {
			t.Errorf("example.toml does not document %q", key)
		}
	}
}

// The receiver in the example's comment has every key of one, and would be read.
func TestExampleReceiverHasEveryKey(t *testing.T) {
	places := keyPlaces(exampleReceiver())
	for _, key := range tomlKeys(notify.Receiver{}) {
		if _, ok := places["receiver[0]."+key]; !ok {
			t.Errorf("example.toml does not document the receiver's %q", key)
		}
	}
	var c Config
	if err := toml.NewDecoder(bytes.NewReader(exampleReceiver())).DisallowUnknownFields().Decode(&c); err != nil || len(c.Receivers) != 1 {
		t.Errorf("%d receivers, %v", len(c.Receivers), err)
	}
}

// What may be zero can be set to zero, and what is left out has its default.
func TestReceiverDefaults(t *testing.T) {
	c, err := Parse("x", []byte("[[receiver]]\nname = 'a'\ntype = 'alertmanager'\nurl = 'http://x/'\ngroup_wait = '0s'\nresolved = false\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := c.AlertConfig().Receivers[0]
	if r.GroupWait.Duration != 0 || r.GroupInterval.Duration != 5*time.Minute || r.Resolved || r.Timeout.Duration != 10*time.Second {
		t.Errorf("%+v", r)
	}
}

// Each file in testdata/bad holds one mistake, or several that are told together;
// beside it stand the messages.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d bad files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			_, err := Load(file)
			if err == nil {
				t.Fatal("was accepted")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			golden := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("message (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                          "is a directory",
		fifo:                         "is not a regular file",
		large:                        "is larger than",
		filepath.Join(dir, "absent"): "no such file",
		"/dev/null":                  "is not a regular file",
	} {
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("Load(%s): %v, want %q", path, err, want)
		}
	}
}

func TestLinkTablesInheritTheDefault(t *testing.T) {
	c, err := Parse("x", []byte(`
		[link.default]
		egress = "socket"
		[link.eth0]
		capacity_tx = "1Gbit"
		[link.eth1]
		egress = "off"
	`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Engine()
	eth0, eth1, eth2 := s.Link("eth0"), s.Link("eth1"), s.Link("eth2")
	if eth0.Capacity[watchdog.Tx] != 125e6 || eth0.Mode[watchdog.Tx] != engine.ModeSocket || eth0.Mode[watchdog.Rx] != engine.ModeAuto {
		t.Errorf("eth0: %+v", eth0)
	}
	if br0 := s.Link("eth2", "eth1"); br0.Mode[watchdog.Tx] != engine.ModeOff {
		t.Errorf("eth1 over eth2: %+v", br0)
	}
	if eth1.Mode[watchdog.Tx] != engine.ModeOff || eth2.Mode[watchdog.Tx] != engine.ModeSocket {
		t.Errorf("eth1: %+v, eth2: %+v", eth1, eth2)
	}
}

func TestRate(t *testing.T) {
	for in, want := range map[string]float64{
		"100Mbit": 12.5e6, "100 Mbit": 12.5e6, "2.5Gbit": 312.5e6, "1Gbit/s": 125e6, "64kbit": 8000, "": 0,
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(in)); err != nil || r.BytesPerSecond != want {
			t.Errorf("%q: %v, %v; want %v", in, r.BytesPerSecond, err, want)
		}
	}
	for _, in := range []string{"NaNMbit", "InfGbit", "-1Mbit", "100MiB", "1e9Gbit", "Mbit", "100mb"} {
		var r Rate
		if err := r.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was accepted as %v", in, r.BytesPerSecond)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Example)
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("x", b)
		if err == nil && c.Control.TargetDelay.Duration <= 0 {
			t.Errorf("accepted a target delay of %s", c.Control.TargetDelay)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "x") {
			t.Errorf("an error without its file: %v", err)
		}
	})
}
