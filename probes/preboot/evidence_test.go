package preboot

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func seenAt(src string, ago time.Duration) sighting {
	return sighting{session{addrs(src)[0], addrs("192.0.2.10")[0]}, testNow.Add(-ago)}
}

func TestRemember(t *testing.T) {
	day := 24 * time.Hour
	old := []sighting{seenAt("10.0.0.1", day), seenAt("10.0.0.2", 30*day), seenAt("10.0.0.3", 100*day), seenAt("10.0.0.1", 3*day)}
	now := []session{{addrs("10.0.0.2")[0], addrs("192.0.2.10")[0]}}
	got := remember(old, now, testNow)
	if want := []sighting{seenAt("10.0.0.2", 0), seenAt("10.0.0.1", day)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	many := make([]session, 0, 1000)
	for i := range 1000 {
		many = append(many, session{addrs("10.0.0.1")[0].Next(), addrs("192.0.2.10")[0]})
		many[i].Src = addrs("10.1.0.0")[0]
		for range i {
			many[i].Src = many[i].Src.Next()
		}
	}
	if n := len(remember(nil, many, testNow)); n != maxSightings {
		t.Errorf("%d are kept", n)
	}
}

func TestRelevant(t *testing.T) {
	day := 24 * time.Hour
	if got := relevant([]sighting{seenAt("10.0.0.1", day), seenAt("10.0.0.2", 30*day)}, testNow); len(got) != 1 {
		t.Errorf("old sources are asked about beside fresh ones: %v", got)
	}
	if got := relevant([]sighting{seenAt("10.0.0.2", 30*day)}, testNow); len(got) != 1 {
		t.Errorf("an unattended machine has nobody to ask about: %v", got)
	}
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	if got, err := recall(dir); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	want := []sighting{seenAt("2001:db8::1", time.Hour)}
	if err := keep(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := recall(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
	for text, why := range map[string]string{"{": "unexpected EOF", `{"schema":2}`: "schema 2", `{"schema":1,"sources":[{}]}`: "no address", `{"schema":1,"sources":[{"src":"x"}]}`: "unable to parse"} {
		if err := os.WriteFile(filepath.Join(dir, memoryFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := recall(dir); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), memoryFile) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := keep(filepath.Join(dir, "not", "yet"), want); err != nil {
		t.Errorf("a directory that nobody has made yet: %v", err)
	}
	if err := keep(filepath.Join(dir, memoryFile, "x"), want); err == nil {
		t.Error("a file in the place of the directory is no error")
	}
	if recalled, err := recall(""); recalled != nil || err != nil || keep("", want) != nil {
		t.Error("without a state directory there is nothing to do")
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"schema":1,"sources":[{"src":"10.0.0.1","local":"192.0.2.10","last_seen":"2024-05-01T12:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeMemory("f", data)
		for _, s := range list {
			if err == nil && !s.Src.IsValid() {
				t.Error("an entry without an address")
			}
		}
	})
}
