package preboot

import (
	"net/netip"
	"slices"
	"testing"

	"lifeline/probes/iptables"
)

func testQuestion(f iptables.Family, mgmt ...string) question {
	q := question{Question: iptables.Question{Family: f, Backend: iptables.NFT, Iface: "eth0", Ports: []uint16{22}, Host: testHost(), Mgmt: prefixes(mgmt...)}}
	q.Dst = addrs("192.0.2.10")
	if f == iptables.IPv6 {
		q.Dst = addrs("2001:db8::10")
	}
	return q
}

func TestAttempts(t *testing.T) {
	for _, c := range []struct {
		name string
		mgmt string
		want []string
	}{
		{"network", "10.0.0.0/8", []string{"10.0.0.0", "10.255.255.255", "10.128.0.0"}},
		{"address", "10.9.9.9/32", []string{"10.9.9.9"}},
		{"two", "10.9.9.8/31", []string{"10.9.9.8", "10.9.9.9"}},
		{"attached, without its ends and ourselves", "192.0.2.0/24", []string{"192.0.2.1", "192.0.2.254", "192.0.2.128"}},
		{"everybody", "0.0.0.0/0", []string{"1.0.0.1", "223.255.255.254", "128.0.0.0"}},
		{"ourselves", "192.0.2.10/32", nil},
		{"nobody", "224.0.0.0/8", nil},
		{"loopback", "127.0.0.0/8", nil},
		{"the other family", "2001:db8::/32", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range attempts(testQuestion(iptables.IPv4, c.mgmt), nil) {
				got = append(got, a.Src.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	got := attempts(testQuestion(iptables.IPv6, "::/0", "2001:db8::/64"), nil)
	var src []string
	for _, a := range got {
		src = append(src, a.Src.String()+" "+a.Neighbour)
	}
	want := []string{"2000::1 ", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ", "8000:: ", "2001:db8:: eth0", "2001:db8::ffff:ffff:ffff:ffff eth0", "2001:db8:0:0:8000:: eth0"}
	if !slices.Equal(src, want) {
		t.Errorf("IPv6: %q", src)
	}
}

func TestAttemptsTakeCorners(t *testing.T) {
	q := testQuestion(iptables.IPv4, "10.0.0.0/8")
	r := iptables.Result{Verdict: iptables.Blocked, Scope: iptables.ScopePart}
	for i := range 1000 {
		r.Probes = append(r.Probes, iptables.Probe{Src: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), SPort: 80, Dst: q.Dst[0], DPort: 22, Expect: iptables.Blocked})
	}
	got := attempts(q, &r)
	if len(got) < maxCorners/2 || len(got) > maxCorners+maxSamples {
		t.Errorf("%d attempts", len(got))
	}
	if last := got[len(got)-1]; last.SPort != 80 || last.expect != iptables.Blocked {
		t.Errorf("corner: %+v", last)
	}
	if got[0].expect != "" {
		t.Errorf("a sample of a partly blocked network expects %q", got[0].expect)
	}
	r.Verdict, r.Scope = iptables.Allowed, iptables.ScopeNone
	if got := attempts(q, &r); got[0].expect != iptables.Allowed {
		t.Errorf("a sample of an allowed network expects %q", got[0].expect)
	}
}

func TestAttemptsCoverPortsAndDestinations(t *testing.T) {
	q := testQuestion(iptables.IPv4, "10.0.0.7/32")
	q.Ports, q.Dst = []uint16{22, 2222, 2022}, addrs("192.0.2.10", "10.1.0.1")
	seen := map[string]bool{}
	for _, a := range attempts(q, nil) {
		seen[netipPort(a.Dst, a.DPort)] = true
	}
	if len(seen) != 6 {
		t.Errorf("tried only %v", seen)
	}
	var many []string
	for i := range 1000 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 1}), 32).String())
	}
	if n := len(attempts(testQuestion(iptables.IPv4, many...), nil)); n != maxSamples {
		t.Errorf("%d attempts for a thousand sources", n)
	}
}
