package iptables

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"lifeline/probes/iptables/rulegen"
)

func TestDecodeHost(t *testing.T) {
	h, err := DecodeHost("host.json", []byte(`{"links":[{"name":"eth0","addresses":["192.0.2.10/24"]}],
		"routes":[{"dst":"default","link":"eth1"},{"dst":"10.1.2.3","link":"eth0"}],"rp_filter":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := h.Routes[1].Prefix(IPv4); !ok || p != netip.MustParsePrefix("10.1.2.3/32") {
		t.Errorf("host route: got %v, %v", p, ok)
	}
	if p, ok := h.Routes[0].Prefix(IPv6); !ok || p != netip.MustParsePrefix("::/0") {
		t.Errorf("default route for IPv6: got %v, %v", p, ok)
	}
	if _, ok := h.Routes[1].Prefix(IPv6); ok {
		t.Error("an IPv4 route counts for IPv6")
	}
	if h.Links[0].Addresses[0].Addr() != netip.MustParseAddr("192.0.2.10") {
		t.Errorf("the address lost its host bits: %v", h.Links[0].Addresses[0])
	}
}

func TestDecodeHostKeepsAnEmptyRouteList(t *testing.T) {
	h, err := DecodeHost("host.json", []byte(`{"routes":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if h.Routes == nil {
		t.Error("an empty, complete list of routes reads as an unknown one")
	}
}

func TestDecodeHostErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "{\n \"link\": []}", `unknown field "link"`},
		{"position", "{\n  \"rp_filter\": \"x\"}", "host.json:2:"},
		{"syntax", `{"links": [}`, "host.json:1:13: host description: invalid character"},
		{"trailing", `{} {}`, "something follows"},
		{"nameless link", `{"links":[{}]}`, "links[0]: name is missing"},
		{"link twice", `{"links":[{"name":"a"},{"name":"a"}]}`, `link "a" is listed twice`},
		{"address", `{"links":[{"name":"a","addresses":["192.0.2.1"]}]}`, "no '/'"},
		{"route", `{"routes":[{"dst":"nowhere","link":"a"}]}`, `dst "nowhere"`},
		{"route link", `{"routes":[{"dst":"default"}]}`, "link is missing"},
		{"rp_filter", `{"rp_filter":3}`, "rp_filter 3"},
		{"empty", ``, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeHost("host.json", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "host.json") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A description is bounded, and the error names the bound and what to do.
func TestDecodeHostIsBounded(t *testing.T) {
	link := func(n int) string {
		return `{"links":[{"name":"eth0","addresses":["192.0.2.10/24"` + rulegen.Numbered(n-1, `,"2001:db8::%x/128"`) + `]}]}`
	}
	for text, want := range map[string]string{
		link(60000): "60000 addresses of links are more than the 4096",
		`{"links":[{"name":"x"}` + rulegen.Numbered(5000, `,{"name":"l%d"}`) + `]}`:                             "5001 links are more than the 4096",
		`{"routes":[{"dst":"default","link":"x"}` + rulegen.Numbered(5000, `,{"dst":"::%x","link":"x"}`) + `]}`: "5001 routes are more than the 4096",
		`{"routes":[{"dst":"default","link":"x"}` + rulegen.Numbered(600, `,{"dst":"::1","link":"l%d"}`) + `]}`: "601 links that routes lead to are more than the 512",
	} {
		if _, err := DecodeHost("host.json", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ": leave out") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := DecodeHost("host.json", []byte(link(maxHostAddresses))); err != nil {
		t.Error(err)
	}
}

// TestListeners reads where programs listen, and writes it as it was read.
func TestListeners(t *testing.T) {
	const text = `{"listen":[22,"192.0.2.10:2222","[2001:db8::1]:22"]}`
	h, err := DecodeHost("host.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(h); err != nil || string(again) != text {
		t.Errorf("%s, %v", again, err)
	}
	for _, bad := range []string{"0", "70000", `"22"`, `"192.0.2.10"`, `"192.0.2.10:0"`, "{}"} {
		if h, err := DecodeHost("host.json", []byte(`{"listen":[`+bad+`]}`)); err == nil {
			t.Errorf("%s is read as %v", bad, h.Listen)
		}
	}
}
