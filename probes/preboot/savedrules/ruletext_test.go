package savedrules

import (
	"bytes"
	"strings"
	"testing"
)

func TestRefuseProgram(t *testing.T) {
	for _, line := range []string{
		`-A INPUT -M /tmp/x -j ACCEPT`, `-A INPUT -M/tmp/x`, `-A INPUT --modprobe=/tmp/x`, `-A INPUT --modprobe /tmp/x`,
		`-A INPUT --modp /tmp/x`, `-A INPUT --mo=/tmp/x`, `-A INPUT -4M /tmp/x`, `-A INPUT -nvM/tmp/x`, `-A INPUT "-M" /tmp/x`,
		`-A INPUT "--mod""probe" /tmp/x`, `-A INPUT "x"-M /x`, `-A INPUT -m comment --comment "x"-M /x`, `-A INPUT -m comment --comment x"y z"-M/x`, `-A INPUT -m comment --comment "fine" -M /x`, `"-\M" /x`,
		"\t-M /x", `[0:0] -A INPUT -M /x`,
	} {
		if err := refuseProgram("f", []byte("*filter\n"+line+"\nCOMMIT\n"), false); err == nil || !strings.HasPrefix(err.Error(), "f:2: ") {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{
		`-A INPUT -m comment --comment -M -j ACCEPT`, `-A INPUT -m comment --comment "-M /tmp/x" -j ACCEPT`,
		`-A INPUT -j LOG --log-prefix "--modprobe "`, `# -M /tmp/x`, `-A INPUT -m multiport --dports 22 -j ACCEPT`,
		`-A INPUT -m statistic --mode random --probability 0.5 -j ACCEPT`, `-A INPUT -iM0 -j ACCEPT`, `-A INPUT -jMYCHAIN`,
		`-A INPUT -""M /x`, "-A INPUT \r-M /x", // the tool takes "-" and "\r-M" for bad arguments
		`:M - [0:0]`, `-A INPUT -s 10.0.0.0/8 -m mark --mark 1 -j MARK --set-mark 1`, ``,
	} {
		if err := refuseProgram("f", []byte(line), false); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestStripHostWide(t *testing.T) {
	in := strings.Join([]string{
		"*filter",
		"-A INPUT -p tcp -j LED --led-trigger-id x --led-delay 5",
		"-A INPUT -j IDLETIMER --timeout=5 --label a -m comment --comment keep",
		"-A INPUT -4jLED --led-trigger-id y -i eth0",
		"-A INPUT --ju AUDIT --type accept",
		"-A INPUT -m comment --comment \"-j LED\" -j ACCEPT",
		"-A INPUT -j LOG",
		"COMMIT", ""}, "\n")
	out, notes := StripHostWide("f", []byte(in))
	var got []string
	for l := range bytes.Lines(out) {
		got = append(got, strings.Join(strings.Fields(string(l)), " "))
	}
	want := []string{"*filter", "-A INPUT -p tcp", "-A INPUT -m comment --comment keep", "-A INPUT -i eth0", "-A INPUT",
		"-A INPUT -m comment --comment \"-j LED\" -j ACCEPT", "-A INPUT -j LOG", "COMMIT"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(notes) != 4 || !strings.HasPrefix(notes[0], "f:2: -j LED ") {
		t.Errorf("notes: %q", notes)
	}
	if same, notes := StripHostWide("f", []byte("*filter\r\nCOMMIT")); string(same) != "*filter\r\nCOMMIT" || notes != nil {
		t.Errorf("a clean file changed: %q %q", same, notes)
	}
}

// TestLongLinesAreReadAsTheToolReadsThem: the tool takes what is longer than its buffer
// for several lines, and an open quote does not reach from one into the next.
func TestLongLinesAreReadAsTheToolReadsThem(t *testing.T) {
	long := "-A INPUT -m comment --comment \"" + strings.Repeat("x", 10239-31)
	for rest, program := range map[string]bool{"-A INPUT -M /x\n": true, "-A INPUT -j LED --led-trigger-id x\n": false} {
		if err := refuseProgram("f", []byte(long+rest), false); (err != nil) != program {
			t.Errorf("%s: %v", rest, err)
		}
		if out, notes := StripHostWide("f", []byte(long+rest)); (notes == nil) != program || len(out) != len(long+rest) || bytes.Contains(out, []byte("LED")) {
			t.Errorf("%s: %q", rest, notes)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("-A INPUT -j LED --led-trigger-id \"a\\\"b\" -M x\n-4jIDLETIMER --timeout"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, _ := StripHostWide("f", text)
		if bytes.Count(out, []byte("\n")) != bytes.Count(text, []byte("\n")) {
			t.Error("a line got lost")
		}
		_ = refuseProgram("f", text, false)
	})
}
