package hostinfo

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSSHDConfig(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "[]",
		"# Port 22\nPermit no":          "[]",
		"Port 2222\n":                   "[0.0.0.0:2222 [::]:2222]",
		"port=2022\nPort  = 22 # usual": "[0.0.0.0:2022 0.0.0.0:22 [::]:2022 [::]:22]",
		"port 22\nlistenaddress 0.0.0.0:22\nlistenaddress [::]:2222\n": "[0.0.0.0:22 [::]:2222]",
		"Port 22\nMatch User x\n Port 23\nMatch all\nPort 24":          "[0.0.0.0:22 [::]:22]",
		"Port 0\nPort 70000\nPort x":                                   "[]",
		"ListenAddress 192.0.2.1":                                      "[192.0.2.1:22]",
		"ListenAddress 192.0.2.1\nListenAddress \"2001:db8::1\"\nListenAddress [2001:db8::2]:24\nPort 22\nPort 23": "[192.0.2.1:22 192.0.2.1:23 [2001:db8::1]:22 [2001:db8::1]:23 [2001:db8::2]:24]",
		"ListenAddress *:22":                                    "[]",
		"ListenAddress *":                                       "[0.0.0.0:22]",
		"ListenAddress ssh.example.org":                         "[]",
		"AddressFamily inet\nPort 22\nAddressFamily any":        "[0.0.0.0:22]",
		"AddressFamily inet6\nListenAddress 0.0.0.0\nPort 2222": "[]",
		"listenaddress 192.0.2.1:22 rdomain blue":               "[192.0.2.1:22]",
		"Include":                    "[]",
		"Include none [ /etc/none/*": "[]",
		"Include sshd_config.d/*.conf other\nPort 22": "[0.0.0.0:2022 0.0.0.0:2222 0.0.0.0:22 [::]:2022 [::]:2222 [::]:22]",
		"Include /etc/ssh/again\nPort 22":             "[0.0.0.0:22 [::]:22]",
		"Match all\nInclude other\n":                  "[]",
	} {
		root := fstest.MapFS{
			"etc/ssh/sshd_config":           {Data: []byte(in)},
			"etc/ssh/sshd_config.d/10.conf": {Data: []byte("Port 2022\nMatch User x\nPort 2023\n")},
			"etc/ssh/sshd_config.d/20.conf": {Data: []byte("Port 2222\n")},
			"etc/ssh/sshd_config.d/other":   {Data: []byte("Port 1\n")},
			"etc/ssh/again":                 {Data: []byte("Include /etc/ssh/again\n")},
		}
		var c sshdConfig
		c.read(root, "/etc/ssh/sshd_config", 0)
		if got := fmt.Sprint(c.listens()); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestSSHDArguments(t *testing.T) {
	for in, want := range map[string]string{
		`22`: `"22"`, `2"2"2 x`: `"222" "x"`, `"a"b 'c d'`: `"ab" "c d"`, `a\ b "c\ d"`: `"a b" "c\\ d"`, `"a\"b" 'c"d'`: `"a\"b" "c\"d"`,
		` a #b c`: `"a"`, `a#b "#c"`: `"a#b" "#c"`, `"open`: `"open"`, `\`: `"\\"`, "": "",
	} {
		var got []string
		for _, a := range sshdArguments(in) {
			got = append(got, strconv.Quote(a))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestSSHDAnswer is the form in which sshd prints its configuration.
func TestSSHDAnswer(t *testing.T) {
	var c sshdConfig
	c.parse("port 22\naddressfamily any\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\nusepam yes\nmatch x\n")
	if got := fmt.Sprint(c.listens()); got != "[[::]:22 0.0.0.0:22]" {
		t.Error(got)
	}
}
