package hostinfo

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func seenAt(src string, ago time.Duration) Sighting {
	return Sighting{Session: seenNow(src), LastSeen: testNow.Add(-ago)}
}

// seenNow is a session of root.
func seenNow(src string) Session {
	return Session{Src: addrs(src)[0], Local: addrs("192.0.2.10")[0], User: "0"}
}

func TestRemember(t *testing.T) {
	day := 24 * time.Hour
	old := []Sighting{seenAt("10.0.0.1", day), seenAt("10.0.0.2", 30*day), seenAt("10.0.0.3", 100*day), seenAt("10.0.0.1", 3*day)}
	now := []Session{seenNow("10.0.0.2")}
	got, forgotten := Remember(old, now, testNow)
	want := []Sighting{seenAt("10.0.0.2", 0), seenAt("10.0.0.1", day)}
	want[0].FirstSeen, want[1].FirstSeen = testNow.Add(-30*day), testNow.Add(-3*day)
	if !reflect.DeepEqual(got, want) || len(forgotten) > 0 {
		t.Errorf("got %v, forgotten %v", got, forgotten)
	}
	kept, forgotten := Remember(nil, manyFrom("10.1.0.0", "1000", 3000), testNow)
	if len(kept) != maxSightings || len(forgotten) != 3000-maxSightings {
		t.Errorf("%d are kept, %d forgotten", len(kept), len(forgotten))
	}
}

// manyFrom are sessions of a user from as many addresses.
func manyFrom(first, user string, n int) (out []Session) {
	src := addrs(first)[0]
	for range n {
		out = append(out, Session{Src: src, Local: addrs("192.0.2.10")[0], User: user})
		src = src.Next()
	}
	return out
}

// Whoever can log in from any number of addresses displaces nobody, whether he did it
// before or after the administrator came, nor who else logs in as he does.
func TestNobodyIsDisplaced(t *testing.T) {
	day := 24 * time.Hour
	admin, colleague, sudoer := seenNow("10.9.0.1"), seenNow("10.9.0.2"), seenNow("10.9.0.3")
	colleague.User, sudoer.User = "1000", "1001"
	memory, _ := Remember(nil, []Session{admin, colleague, sudoer}, testNow.Add(-10*day))
	for n := range 10 {
		flood := manyFrom(fmt.Sprintf("10.1%d.0.0", n), "1000", 1000)
		memory, _ = Remember(memory, flood, testNow.Add(time.Duration(n-10)*time.Hour))
	}
	memory, _ = Remember(memory, []Session{seenNow("10.9.0.4")}, testNow)
	if len(memory) != maxSightings {
		t.Fatalf("%d are remembered", len(memory))
	}
	asked, rest := SelectAsked(memory, testNow)
	for _, src := range []string{"10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.4"} {
		if !slices.ContainsFunc(asked, func(s Sighting) bool { return s.Src == addrs(src)[0] }) {
			t.Errorf("%s is not asked about", src)
		}
	}
	if len(asked) != maxAsked+1 || len(asked)+len(rest) != len(memory) {
		t.Errorf("%d are asked about, %d are not", len(asked), len(rest))
	}
	told := DescribeLeftOut(rest, asked)
	if len(told) != maxTold+1 || !strings.Contains(told[0], "uid 1000 logged in from too many addresses") || !strings.Contains(told[maxTold], fmt.Sprint(len(rest)-maxTold, " more")) {
		t.Errorf("told: %q", told)
	}
}

// Whose sources give way where everybody has one: those of whoever came last, and root
// last of all. Who is there is asked about in any case.
func TestManyUsers(t *testing.T) {
	var list []Session
	for n := range 3 * maxAsked {
		list = append(list, manyFrom("10.1.0.1", fmt.Sprint(2000+n), 1)...)
	}
	old, _ := Remember(nil, list[:maxAsked-10], testNow.Add(-time.Hour))
	all, _ := Remember(old, append(list[maxAsked-10:], seenNow("10.9.0.1")), testNow.Add(-time.Minute))
	present := manyFrom("10.2.0.0", "3000", maxAsked+50)
	all, _ = Remember(all, present, testNow)
	asked, _ := SelectAsked(all, testNow)
	for _, s := range append(append(list[:maxAsked-10:maxAsked-10], seenNow("10.9.0.1")), present...) {
		if !slices.ContainsFunc(asked, func(a Sighting) bool { return a.Session == s }) {
			t.Fatalf("%+v is not asked about", s)
		}
	}
}

func TestRelevant(t *testing.T) {
	day := 24 * time.Hour
	if got, rest := SelectAsked([]Sighting{seenAt("10.0.0.1", 0), seenAt("10.0.0.2", 30*day)}, testNow); len(got) != 2 || len(rest) > 0 {
		t.Errorf("because somebody came, somebody else is not asked about: %v", got)
	}
	if got, _ := SelectAsked([]Sighting{seenAt("10.0.0.2", 30*day)}, testNow); len(got) != 1 {
		t.Errorf("an unattended machine has nobody to ask about: %v", got)
	}
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	if got, err := LoadSightings(dir); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	want := []Sighting{seenAt("2001:db8::1", time.Hour)}
	if err := SaveSightings(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := LoadSightings(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
	for text, why := range map[string]string{"{": "unexpected EOF", `{"schema":2}`: "schema 2", `{"schema":1,"sources":[{}]}`: "no address", `{"schema":1,"sources":[{"src":"x"}]}`: "unable to parse"} {
		if err := os.WriteFile(filepath.Join(dir, sightingsName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSightings(dir); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), sightingsName) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := SaveSightings(filepath.Join(dir, "not", "yet"), want); err != nil {
		t.Errorf("a directory that nobody has made yet: %v", err)
	}
	if err := SaveSightings(filepath.Join(dir, sightingsName, "x"), want); err == nil {
		t.Error("a file in the place of the directory is no error")
	}
	if recalled, err := LoadSightings(""); recalled != nil || err != nil || SaveSightings("", want) != nil {
		t.Error("without a state directory there is nothing to do")
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"schema":1,"sources":[{"src":"10.0.0.1","local":"192.0.2.10","last_seen":"2024-05-01T12:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeSightings("f", data)
		for _, s := range list {
			if err == nil && !s.Src.IsValid() {
				t.Error("an entry without an address")
			}
		}
	})
}
