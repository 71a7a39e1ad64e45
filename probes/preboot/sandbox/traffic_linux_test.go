package sandbox

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/probes/iptables"
)

func TestRehearsalOfRenewal(t *testing.T) {
	needTool(t, "ip6tables-nft-restore")
	for _, c := range []struct {
		name, rules string
		want        RenewalResult
	}{
		{"open", "*filter\nCOMMIT\n", RenewalResult{Advertised: true, Leased: true}},
		{"closed", "*filter\n:INPUT DROP\nCOMMIT\n", RenewalResult{}},
		{"icmp only", "*filter\n:INPUT DROP\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n", RenewalResult{Advertised: true}},
		{"both", "*filter\n:INPUT DROP\n:OUTPUT DROP\n-A INPUT -p ipv6-icmp -j ACCEPT\n-A OUTPUT -p ipv6-icmp -j ACCEPT\n-A INPUT -s fe80::/10 -p udp --dport 546 -j ACCEPT\n-A OUTPUT -p udp --dport 547 -j ACCEPT\nCOMMIT\n", RenewalResult{Advertised: true, Leased: true}},
		{"no way out", "*filter\n:OUTPUT DROP\nCOMMIT\n", RenewalResult{Advertised: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startOrSkip(t, AsSelf)
			said, err := p.load(t, plainNetwork(), restore(iptables.NFT, iptables.IPv6, c.rules))
			if err != nil || said[0].Code != 0 {
				t.Fatalf("%+v, %v", said, err)
			}
			deadline := time.Second
			if c.want.Leased {
				deadline = 20 * time.Second // it is not waited for
			}
			got, err := p.RenewIPv6(Renewal{Link: "eth0", DHCP: true, Deadline: deadline})
			if err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// connectOnce loads rules into the plain network and tries a connection.
func connectOnce(t *testing.T, timeout time.Duration, rules string, f iptables.Family, c Connection) (Outcome, error) {
	p, err := Start(t.Context(), AsSelf)
	if err != nil {
		return "", err
	}
	defer p.Close()
	said, err := p.load(t, plainNetwork(), restore(iptables.NFT, f, rules))
	if err != nil || said[0].Code != 0 {
		return "", fmt.Errorf("%s: %+v, %w", rules, said, err)
	}
	c.Link, c.Dst = "eth0", addrs("192.0.2.10")[0]
	if f == iptables.IPv6 {
		c.Dst = addrs("2001:db8::10")[0]
	}
	if c.DPort == 0 {
		c.DPort = 22
	}
	out, err := p.Connect(Traffic{Listen: []uint16{22}, Tries: []Connection{c}, Timeout: timeout})
	if err != nil {
		return "", err
	}
	return out[0], nil
}

func TestRehearsalOutcomes(t *testing.T) {
	needTool(t, "iptables-nft-restore", "ip6tables-nft-restore")
	startOrSkip(t, AsSelf) // or skip
	v4 := Connection{Src: addrs("10.1.2.3")[0]}
	v6 := Connection{Src: addrs("2001:db8:1::7")[0]}
	near6 := Connection{Src: addrs("2001:db8::77")[0], Neighbour: "eth0"}
	near4 := Connection{Src: addrs("192.0.2.77")[0], Neighbour: "eth0"}
	narrow := func(c Connection) Connection { c.Narrow = true; return c }
	const four, six = iptables.IPv4, iptables.IPv6
	type try struct {
		name, rules string
		family      iptables.Family
		try         Connection
		want        Outcome
	}
	tries := []try{
		{"open", "*filter\nCOMMIT\n", four, v4, Established},
		{"open, attached", "*filter\nCOMMIT\n", four, near4, Established},
		{"open, IPv6", "*filter\nCOMMIT\n", six, v6, Established},
		{"open, IPv6, attached", "*filter\nCOMMIT\n", six, near6, Established},
		{"source port", "*filter\n:INPUT DROP\n-A INPUT -p tcp --sport 80 -j ACCEPT\nCOMMIT\n", four, Connection{Src: v4.Src, SPort: 80}, Established},
		{"drop", "*filter\n:INPUT DROP\nCOMMIT\n", four, v4, TimedOut},
		{"reset", "*filter\n-A INPUT -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n", four, v4, Refused},
		{"port unreachable", "*filter\n-A INPUT -j REJECT\nCOMMIT\n", four, v4, Refused},
		{"prohibited", "*filter\n-A INPUT -j REJECT --reject-with icmp-admin-prohibited\nCOMMIT\n", four, v4, Unreachable},
		{"prohibited, IPv6", "*filter\n-A INPUT -p tcp -j REJECT --reject-with icmp6-adm-prohibited\nCOMMIT\n", six, v6, Unreachable},
		{"nobody listens", "*filter\nCOMMIT\n", four, Connection{Src: v4.Src, DPort: 23}, Refused},
		{"handshake only", "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n", four, v4, NoBanner},
		{"banner only", "*filter\n-A INPUT -m length --length 1000: -j DROP\nCOMMIT\n", four, v4, Stalled},
		{"our large packets are lost", "*filter\n-A OUTPUT -m length --length 1000: -j DROP\nCOMMIT\n", four, v4, Stalled},
		{"small hop", "*filter\nCOMMIT\n", four, narrow(v4), Established},
		{"small hop, IPv6", "*filter\nCOMMIT\n", six, narrow(v6), Established},
		{"small hop, related", "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n", four, narrow(v4), Established},
		{"small hop, no ICMP", "*filter\n-A INPUT -p icmp -j DROP\nCOMMIT\n", four, narrow(v4), Stalled},
		{"small hop, no ICMPv6 2", "*filter\n-A INPUT -p ipv6-icmp --icmpv6-type 2 -j DROP\nCOMMIT\n", six, narrow(v6), Stalled},
		{"no answer to solicitations", "*filter\n-A INPUT -p ipv6-icmp --icmpv6-type 135 -j DROP\nCOMMIT\n", six, v6, TimedOut},
		{"no advertisements in", "*filter\n-A INPUT -p ipv6-icmp --icmpv6-type 136 -j DROP\nCOMMIT\n", six, near6, NeighbourLost},
		{"no advertisement of the gateway in", "*filter\n-A INPUT -p ipv6-icmp --icmpv6-type 136 -j DROP\nCOMMIT\n", six, v6, TimedOut},
		{"no solicitations out", "*filter\n-A OUTPUT -p ipv6-icmp --icmpv6-type 135 -j DROP\nCOMMIT\n", six, near6, NeighbourLost},
		{"no advertisements out", "*filter\n-A OUTPUT -p ipv6-icmp --icmpv6-type 136 -j DROP\nCOMMIT\n", six, near6, TimedOut},
	}
	got := make([]Outcome, len(tries))
	var group errgroup.Group
	group.SetLimit(8)
	for i, c := range tries {
		group.Go(func() (err error) {
			// What is to get through may take its time; what is not costs it.
			timeout := 20 * time.Second
			if c.want != Established {
				timeout = 1500 * time.Millisecond
			}
			got[i], err = connectOnce(t, timeout, c.rules, c.family, c.try)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, c := range tries {
		// Whether the first solicitation tells the machine who its neighbour is
		// depends on the address that it comes from.
		if got[i] != c.want && (c.want != NeighbourLost || got[i] != TimedOut) {
			t.Errorf("%s: %s, want %s", c.name, got[i], c.want)
		}
	}
}
