package rules

import "lifeline/probes/iptables/netfilter"

// matchSpecs is the list of matches that netfilter ships.
func matchSpecs() map[string]extensionSpec {
	return map[string]extensionSpec{
		"addrtype": {options: "src-type:addrTypes! dst-type:addrTypes! limit-iface-in~a limit-iface-out~a", need: "src-type dst-type",
			match: matchAddrType},
		"ah": {options: "ahspi:u32s! ahlen:u32! ahres",
			protocols: onlyIPv4(51), match: matchesNothing},
		"bpf": {options: "bytecode:text object-pinned:text", need: "*"},
		"cgroup": {options: "path:text!~a cgroup:u32!~a", need: "*",
			place: place{"", hkInput | hkOutput | hkPostrouting}},
		"cluster": {options: "cluster-total-nodes:u32(1-32)+ cluster-local-node:u32(1-32)!~a" +
			" cluster-local-nodemask:u32(1-32)!~a cluster-hash-seed:u32+", need: "cluster-local-node cluster-local-nodemask"},
		"comment": {options: "comment:text+",
			match: matchesAll},
		"connbytes": {options: "connbytes:u64s!+ connbytes-dir:connbytesDir+ connbytes-mode:connbytesMode+"},
		"connlabel": {options: "label:connLabel(1-)!+ set"},
		"connlimit": {options: "connlimit-upto:u32!~a connlimit-above:u32!~a connlimit-mask:prefixLen" +
			" connlimit-saddr~b connlimit-daddr~b", need: "connlimit-upto connlimit-above"},
		"connmark": {options: "mark:mark!+",
			match: matchMark},
		"conntrack": {options: "ctstate:states! ctproto:protocol! ctorigsrc:hostMask! ctorigdst:hostMask!" +
			" ctreplsrc:hostMask! ctrepldst:hostMask! ctstatus:ctStatus! ctexpire:u32s! ctorigsrcport:ports!" +
			" ctorigdstport:ports! ctreplsrcport:ports! ctrepldstport:ports! ctdir:ctDirection", need: "*",
			match: matchConntrack},
		"cpu": {options: "cpu:u32!+"},
		"dccp": {options: "source-port,sport:ports! destination-port,dport:ports! dccp-types:text! dccp-option:u8(1-255)!",
			protocols: only(33)},
		"devgroup": {options: "src-group:text! dst-group:text!", need: "*"},
		"dscp":     {options: "dscp:u8(0-63)!~a dscp-class:text!~a", need: "*"},
		"dst": {family: netfilter.IPv6, options: "dst-len:u32! dst-opts:text",
			match: matchesNothing},
		"ecn": {options: "ecn-tcp-cwr! ecn-tcp-ece! ecn-ip-ect:u8(0-3)!", need: "*",
			protocols: ecnProtocol},
		"esp": {options: "espspi:u32s!",
			protocols: only(50)},
		"eui64": {family: netfilter.IPv6,
			place: place{"", hkPrerouting | hkInput | hkForward}},
		"frag": {family: netfilter.IPv6, options: "fragid:u32s! fraglen:u32! fragres fragfirst fragmore~a fraglast~a",
			match: matchesNothing},
		"hashlimit": {options: "hashlimit-upto,hashlimit:text!~a hashlimit-above:text!~a hashlimit-srcmask:prefixLen" +
			" hashlimit-dstmask:prefixLen hashlimit-burst:text hashlimit-htable-size:u32 hashlimit-htable-max:u32" +
			" hashlimit-htable-gcinterval:u32 hashlimit-htable-expire:u32 hashlimit-mode:text hashlimit-name:text(1-)+" +
			" hashlimit-rate-match hashlimit-rate-interval:text", need: "hashlimit-upto hashlimit-above"},
		"hbh": {family: netfilter.IPv6, options: "hbh-len:u32! hbh-opts:text",
			match: matchesNothing},
		"helper": {options: "helper:text!+"},
		"hl": {family: netfilter.IPv6, options: "hl-lt:u8~a hl-gt:u8~a hl-eq,hl:u8!~a", need: "*",
			match: matchHopLimit},
		"icmp": {family: netfilter.IPv4, options: "icmp-type:icmpType!+",
			protocols: only(1), match: matchICMP},
		"icmp6": {family: netfilter.IPv6, options: "icmpv6-type:icmpv6Type!+",
			protocols: only(58), match: matchICMP},
		"ipcomp": {options: "ipcompspi:u32s! compres",
			protocols: only(108)},
		"iprange": {options: "src-range:addrRange! dst-range:addrRange!", need: "*",
			match: matchAddrRange},
		"ipv6header": {family: netfilter.IPv6, options: "header:text!+ soft"},
		"ipvs": {options: "ipvs! vproto:protocol! vaddr:hostMask! vport:port! vdir:text vmethod:text!" +
			" vportctl:port!", need: "*"},
		"length": {options: "length:u16s!+"},
		"limit":  {options: "limit:rate limit-burst:u32(0-10000)"},
		"mac": {options: "mac-source:mac!+",
			place: place{"", hkPrerouting | hkInput | hkForward}},
		"mark": {options: "mark:mark!+",
			match: matchMark},
		"mh": {family: netfilter.IPv6, options: "mh-type:mobilityType!",
			protocols: only(135)},
		"multiport": {options: "source-ports,sports:multiport!~a destination-ports,dports:multiport!~a" +
			" ports:multiport!~a", need: "*",
			match: matchMultiport},
		"nfacct": {options: "nfacct-name:accounting(1-)+"},
		"osf": {family: netfilter.IPv4, options: "genre:text!+ ttl:u32(0-2) log:u32(0-2)",
			protocols: only(6)},
		"owner": {options: "uid-owner:user! gid-owner:group! socket-exists! suppl-groups", need: "uid-owner gid-owner socket-exists",
			place: place{"", hkOutput | hkPostrouting}, crossCheck: (*extensionUse).checkOwner},
		"physdev": {options: "physdev-in:text! physdev-out:text! physdev-is-in! physdev-is-out!" +
			" physdev-is-bridged!", need: "*"},
		"pkttype": {options: "pkt-type:packetType!+"},
		"policy": {options: "dir:ipsecDir+ pol:ipsecPolicy strict reqid:u32!* spi:u32!* tunnel-src:hostMask!*" +
			" tunnel-dst:hostMask!* proto:protocol!* mode:text!* next*&strict",
			crossCheck: (*extensionUse).checkPolicy},
		"quota": {options: "quota:u64!+"},
		"rateest": {options: "rateest1,rateest:text rateest2:text rateest-bps1:maybe rateest-pps1:maybe" +
			" rateest-bps2,rateest-bps:maybe rateest-pps2,rateest-pps:maybe rateest-delta rateest-lt!~a rateest-gt!~a" +
			" rateest-eq!~a", need: "rateest1"},
		"realm": {family: netfilter.IPv4, options: "realm:text!+"},
		"recent": {options: "set!~a rcheck!~a update!~a remove!~a seconds:u32(1-) reap&seconds hitcount:hitCount" +
			" rttl name:text rsource rdest mask:host", need: "set rcheck update remove",
			crossCheck: (*extensionUse).checkRecent, match: matchRecent},
		"rpfilter": {options: "loose validmark accept-local invert",
			place: place{"raw mangle", hkPrerouting}, match: matchRPFilter},
		"rt": {family: netfilter.IPv6, options: "rt-type:u32! rt-segsleft:u32s! rt-len:u32! rt-0-res rt-0-addrs:text" +
			" rt-0-not-strict",
			match: matchesNothing},
		"sctp": {options: "source-port,sport:tcpPorts! destination-port,dport:tcpPorts! chunk-types:twoWords!",
			protocols: only(132)},
		"set": {options: "match-set,set:setAndDirs! return-nomatch update-counters! packets-eq:u64!~a packets-lt:u64~a" +
			" packets-gt:u64~a bytes-eq:u64!~b bytes-lt:u64~b bytes-gt:u64~b update-subcounters!", need: "match-set",
			match: matchSet},
		"socket": {options: "transparent nowildcard restore-skmark",
			place: place{"", hkPrerouting | hkInput}},
		"srh": {family: netfilter.IPv6, options: "srh-next-hdr:u8! srh-hdr-len-eq:u8! srh-hdr-len-gt:u8! srh-hdr-len-lt:u8!" +
			" srh-segs-left-eq:u8! srh-segs-left-gt:u8! srh-segs-left-lt:u8! srh-last-entry-eq:u8! srh-last-entry-gt:u8!" +
			" srh-last-entry-lt:u8! srh-tag:u16! srh-psid:hostMask! srh-nsid:hostMask! srh-lsid:hostMask!",
			match: matchesNothing},
		"state": {options: "state:states!+",
			match: matchState},
		"statistic": {options: "mode:statisticMode+ probability:number(0-1)! every:u32(1-)!&packet" +
			" packet:u32&every",
			crossCheck: (*extensionUse).checkStatistic},
		"string": {options: "from:u16 to:u16 algo:text+ string:text(0-128)!~a hex-string:text!~a icase", need: "string hex-string"},
		"tcp": {options: "source-port,sport:tcpPorts! destination-port,dport:tcpPorts! syn!~a tcp-flags:tcpFlags!~a" +
			" tcp-option:u8(1-255)!",
			protocols: only(6), match: matchTCP},
		"tcpmss": {options: "mss:mss!+",
			protocols: only(6)},
		"time": {options: "datestart:text datestop:text timestart:text timestop:text contiguous weekdays:text!" +
			" monthdays:text! localtz~a utc~a kerneltz"},
		"tos": {options: "tos:tos!+"},
		"ttl": {family: netfilter.IPv4, options: "ttl-lt:u8~a ttl-gt:u8~a ttl-eq,ttl:u8!~a", need: "*",
			match: matchHopLimit},
		"u32": {options: "u32:text!+"},
		"udp": {options: "source-port,sport:ports! destination-port,dport:ports!",
			protocols: only(17, 136), match: matchesAll},
	}
}
