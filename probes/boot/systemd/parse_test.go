package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const text = "\ufeffKey=outside\n" +
		"[Unit]\n" +
		"# a comment that ends in a backslash \\\n" +
		"After = a.service \\\n" +
		"; a comment between\n" +
		"   b.service\n" +
		"Escaped=x\\\\\n" +
		"NoAssignment\n" +
		"  [Service]  \n" +
		"ExecStart=/bin/a=b\r\n" +
		"Bad=\xff\n" +
		"Last=at the end\\"
	var got []string
	for _, s := range Parse("/f", []byte(text)) {
		got = append(got, fmt.Sprintf("%d %s.%s=%s", s.Line, s.Section, s.Key, strings.Join(strings.Fields(s.Value), " ")))
	}
	want := []string{
		"4 Unit.After=a.service b.service", `7 Unit.Escaped=x\\`, "10 Service.ExecStart=/bin/a=b", "12 Service.Last=at the end",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[Unit]\nAfter=a\\\n b\n"))
	f.Add([]byte("[\n=\n\\\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range Parse("/f", text) {
			if s.Line < 1 || s.Section == "" || strings.ContainsAny(s.Key+s.Value, "\n") {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestDropInDirs(t *testing.T) {
	got := dropInDirs([]string{"a-b@c.service"})
	want := []string{"a-b@c.service.d", "a-b@.service.d", "a-.service.d", "service.d"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUnitNames(t *testing.T) {
	for name, want := range map[string]bool{"a.service": true, "a@b.socket": true, ".service": false, "a": false, "a.conf": false} {
		if isUnitName(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	if tpl, ok := template("a@b.c.service"); tpl != "a@.service" || !ok {
		t.Errorf("template %q, %t", tpl, ok)
	}
	if tpl, ok := template("a@.service"); ok {
		t.Errorf("a template has the template %q", tpl)
	}
}

func TestCommandLines(t *testing.T) {
	for value, want := range map[string][][]string{
		`/bin/a "b c" 'd;e' f\ g`:         {{"/bin/a", "b c", "d;e", "f g"}},
		`/bin/a b ; /bin/c`:               {{"/bin/a", "b"}, {"/bin/c"}},
		`/bin/sh -c "x; y" \; z`:          {{"/bin/sh", "-c", "x; y", ";", "z"}},
		`/bin/sh -c 'a "b" \n'`:           {{"/bin/sh", "-c", `a "b" \n`}},
		`/sbin/iptables-restore < /etc/x`: {{"/sbin/iptables-restore", "<", "/etc/x"}},
		``:                                nil,
	} {
		got := commandLines(value)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}
