package rules

import "lifeline/probes/iptables/netfilter"

// extSpec describes the options of one match or target, as iptables 1.8 takes
// them. The option names are those of the extensions' manual pages.
//
// options is a list of `name,alias:kind(min-max)flags`. Without a kind the
// option takes no argument. Flags: ! may be negated, + must be given, * may be
// given again, ~x excludes the other options with the same letter x, &name
// needs option name too.
type extSpec struct {
	// family is 0 for both.
	family  netfilter.Family
	options string
	// need lists options of which at least one must be given; "*" is any.
	need string
}

// matchSpecs is the list of matches that netfilter ships.
func matchSpecs() map[string]extSpec {
	return map[string]extSpec{
		"addrtype": {options: "src-type:text! dst-type:text! limit-iface-in~a limit-iface-out~a", need: "src-type dst-type"},
		"ah":       {options: "ahspi:u32s! ahlen:u32! ahres"},
		"bpf":      {options: "bytecode:text object-pinned:text", need: "*"},
		"cgroup":   {options: "path:text!~a cgroup:u32!~a", need: "*"},
		"cluster": {options: "cluster-total-nodes:u32(1-32)+ cluster-local-node:u32(1-32)!~a" +
			" cluster-local-nodemask:u32(1-32)!~a cluster-hash-seed:u32+", need: "cluster-local-node cluster-local-nodemask"},
		"comment":   {options: "comment:text+"},
		"connbytes": {options: "connbytes:u64s!+ connbytes-dir:text+ connbytes-mode:text+"},
		"connlabel": {options: "label:text(1-)!+ set"},
		"connlimit": {options: "connlimit-upto:u32!~a connlimit-above:u32!~a connlimit-mask:prefixLen" +
			" connlimit-saddr~b connlimit-daddr~b", need: "connlimit-upto connlimit-above"},
		"connmark": {options: "mark:mark!+"},
		"conntrack": {options: "ctstate:text! ctproto:protocol! ctorigsrc:hostMask! ctorigdst:hostMask!" +
			" ctreplsrc:hostMask! ctrepldst:hostMask! ctstatus:text! ctexpire:u32s! ctorigsrcport:ports!" +
			" ctorigdstport:ports! ctreplsrcport:ports! ctrepldstport:ports! ctdir:text", need: "*"},
		"cpu":      {options: "cpu:u32!+"},
		"dccp":     {options: "source-port,sport:ports! destination-port,dport:ports! dccp-types:text! dccp-option:u8(1-255)!"},
		"devgroup": {options: "src-group:text! dst-group:text!", need: "*"},
		"dscp":     {options: "dscp:u8(0-63)!~a dscp-class:text!~a", need: "*"},
		"dst":      {family: netfilter.IPv6, options: "dst-len:u32! dst-opts:text"},
		"ecn":      {options: "ecn-tcp-cwr! ecn-tcp-ece! ecn-ip-ect:u8(0-3)!", need: "*"},
		"esp":      {options: "espspi:u32s!"},
		"eui64":    {family: netfilter.IPv6},
		"frag":     {family: netfilter.IPv6, options: "fragid:u32s! fraglen:u32! fragres fragfirst fragmore~a fraglast~a"},
		"hashlimit": {options: "hashlimit-upto,hashlimit:text!~a hashlimit-above:text!~a hashlimit-srcmask:prefixLen" +
			" hashlimit-dstmask:prefixLen hashlimit-burst:text hashlimit-htable-size:u32 hashlimit-htable-max:u32" +
			" hashlimit-htable-gcinterval:u32 hashlimit-htable-expire:u32 hashlimit-mode:text hashlimit-name:text(1-)+" +
			" hashlimit-rate-match hashlimit-rate-interval:text", need: "hashlimit-upto hashlimit-above"},
		"hbh":        {family: netfilter.IPv6, options: "hbh-len:u32! hbh-opts:text"},
		"helper":     {options: "helper:text!+"},
		"hl":         {family: netfilter.IPv6, options: "hl-lt:u8~a hl-gt:u8~a hl-eq,hl:u8!~a", need: "*"},
		"icmp":       {family: netfilter.IPv4, options: "icmp-type:text!+"},
		"icmp6":      {family: netfilter.IPv6, options: "icmpv6-type:text!+"},
		"ipcomp":     {options: "ipcompspi:u32s! compres"},
		"iprange":    {options: "src-range:text! dst-range:text!", need: "*"},
		"ipv6header": {family: netfilter.IPv6, options: "header:text!+ soft"},
		"ipvs": {options: "ipvs! vproto:protocol! vaddr:hostMask! vport:port! vdir:text vmethod:text!" +
			" vportctl:port!", need: "*"},
		"length": {options: "length:u16s!+"},
		"limit":  {options: "limit:text limit-burst:u32(0-10000)"},
		"mac":    {options: "mac-source:mac!+"},
		"mark":   {options: "mark:mark!+"},
		"mh":     {family: netfilter.IPv6, options: "mh-type:text!"},
		"multiport": {options: "source-ports,sports:text!~a destination-ports,dports:text!~a" +
			" ports:text!~a", need: "*"},
		"nfacct": {options: "nfacct-name:text(1-)+"},
		"osf":    {family: netfilter.IPv4, options: "genre:text!+ ttl:u32(0-2) log:u32(0-2)"},
		"owner":  {options: "uid-owner:text! gid-owner:text! socket-exists! suppl-groups", need: "uid-owner gid-owner socket-exists"},
		"physdev": {options: "physdev-in:text! physdev-out:text! physdev-is-in! physdev-is-out!" +
			" physdev-is-bridged!", need: "*"},
		"pkttype": {options: "pkt-type:text!+"},
		"policy": {options: "dir:text+ pol:text strict reqid:u32!* spi:u32!* tunnel-src:hostMask!*" +
			" tunnel-dst:hostMask!* proto:protocol!* mode:text!* next*&strict"},
		"quota": {options: "quota:u64!+"},
		"rateest": {options: "rateest1,rateest:text rateest2:text rateest-bps1:maybe rateest-pps1:maybe" +
			" rateest-bps2,rateest-bps:maybe rateest-pps2,rateest-pps:maybe rateest-delta rateest-lt!~a rateest-gt!~a" +
			" rateest-eq!~a", need: "rateest1"},
		"realm": {family: netfilter.IPv4, options: "realm:text!+"},
		"recent": {options: "set!~a rcheck!~a update!~a remove!~a seconds:u32(1-) reap&seconds hitcount:u32" +
			" rttl name:text rsource rdest mask:host", need: "set rcheck update remove"},
		"rpfilter": {options: "loose validmark accept-local invert"},
		"rt": {family: netfilter.IPv6, options: "rt-type:u32! rt-segsleft:u32s! rt-len:u32! rt-0-res rt-0-addrs:text" +
			" rt-0-not-strict"},
		"sctp": {options: "source-port,sport:tcpPorts! destination-port,dport:tcpPorts! chunk-types:twoWords!"},
		"set": {options: "match-set,set:twoWords! return-nomatch update-counters! packets-eq:u64!~a packets-lt:u64~a" +
			" packets-gt:u64~a bytes-eq:u64!~b bytes-lt:u64~b bytes-gt:u64~b update-subcounters!", need: "match-set"},
		"socket": {options: "transparent nowildcard restore-skmark"},
		"srh": {family: netfilter.IPv6, options: "srh-next-hdr:u8! srh-hdr-len-eq:u8! srh-hdr-len-gt:u8! srh-hdr-len-lt:u8!" +
			" srh-segs-left-eq:u8! srh-segs-left-gt:u8! srh-segs-left-lt:u8! srh-last-entry-eq:u8! srh-last-entry-gt:u8!" +
			" srh-last-entry-lt:u8! srh-tag:u16! srh-psid:hostMask! srh-nsid:hostMask! srh-lsid:hostMask!"},
		"state": {options: "state:text!+"},
		"statistic": {options: "mode:text+ probability:number(0-1)! every:u32(1-)!&packet" +
			" packet:u32&every"},
		"string": {options: "from:u16 to:u16 algo:text+ string:text!~a hex-string:text!~a icase", need: "string hex-string"},
		"tcp": {options: "source-port,sport:tcpPorts! destination-port,dport:tcpPorts! syn!~a tcp-flags:twoWords!~a" +
			" tcp-option:u8(1-255)!"},
		"tcpmss": {options: "mss:u16s!+"},
		"time": {options: "datestart:text datestop:text timestart:text timestop:text contiguous weekdays:text!" +
			" monthdays:text! localtz~a utc~a kerneltz"},
		"tos": {options: "tos:tos!+"},
		"ttl": {family: netfilter.IPv4, options: "ttl-lt:u8~a ttl-gt:u8~a ttl-eq,ttl:u8!~a", need: "*"},
		"u32": {options: "u32:text!+"},
		"udp": {options: "source-port,sport:ports! destination-port,dport:ports!"},
	}
}

// targetSpecs is the list of targets that netfilter ships.
func targetSpecs() map[string]extSpec {
	return map[string]extSpec{
		"AUDIT":    {options: "type:text+"},
		"CHECKSUM": {options: "checksum-fill+"},
		"CLASSIFY": {options: "set-class:text+"},
		"CLUSTERIP": {family: netfilter.IPv4, options: "new hashmode:text&new clustermac:mac&new total-nodes:u16(0-16)&new" +
			" local-node:u16(0-16)&new hash-init:u32&new"},
		"CONNMARK": {options: "set-xmark:mark~a set-mark:mark~a and-mark:u32~a or-mark:u32~a xor-mark:u32~a save-mark~a" +
			" restore-mark~a left-shift-mark:u8(0-32) right-shift-mark:u8(0-32) ctmask:u32 nfmask:u32 mask:u32",
			need: "set-xmark set-mark and-mark or-mark xor-mark save-mark restore-mark"},
		"CONNSECMARK": {options: "save~a restore~a", need: "*"},
		"CT": {options: "notrack helper:text timeout:text ctevents:text expevents:text zone-orig:text zone-reply:text" +
			" zone:text"},
		"DNAT": {options: "to-destination:text+ random persistent"},
		"DNPT": {family: netfilter.IPv6, options: "src-pfx:hostMask+ dst-pfx:hostMask+"},
		"DSCP": {options: "set-dscp:u8(0-63)~a set-dscp-class:text~a", need: "*"},
		"ECN":  {family: netfilter.IPv4, options: "ecn-tcp-remove ecn-tcp-cwr:u8(0-1) ecn-tcp-ece:u8(0-1) ecn-ip-ect:u8(0-3)", need: "*"},
		"HL":   {family: netfilter.IPv6, options: "hl-set:u8~a hl-dec:u8(1-)~a hl-inc:u8(1-)~a", need: "*"},
		"HMARK": {options: "hmark-tuple:text hmark-src-prefix:prefixLen hmark-dst-prefix:prefixLen hmark-sport-mask:u16" +
			" hmark-dport-mask:u16 hmark-spi-mask:u32 hmark-sport:u16 hmark-dport:u16 hmark-spi:u32" +
			" hmark-proto-mask:u16 hmark-rnd:u32 hmark-mod:u32(1-)+ hmark-offset:u32"},
		"IDLETIMER": {options: "timeout:u32+ label:text+ alarm"},
		"LED":       {options: "led-trigger-id:text+ led-delay:text led-always-blink"},
		"LOG": {options: "log-level:logLevel log-prefix:text(1-) log-tcp-sequence log-tcp-options log-ip-options" +
			" log-uid log-macdecode"},
		"MARK":       {options: "set-xmark:mark~a set-mark:mark~a and-mark:u32~a or-mark:u32~a xor-mark:u32~a", need: "*"},
		"MASQUERADE": {options: "to-ports:text random random-fully"},
		"NETMAP":     {options: "to:hostMask+"},
		"NFLOG": {options: "nflog-group:u16 nflog-prefix:text(1-) nflog-range:u32~a nflog-size:u32~a" +
			" nflog-threshold:u16"},
		"NFQUEUE": {options: "queue-num:u16~a queue-balance:u16s~a queue-bypass queue-cpu-fanout&queue-balance"},
		"NOTRACK": {},
		"RATEEST": {options: "rateest-name:text+ rateest-interval:text+ rateest-ewmalog:text+"},
		"REDIRECT": {
			options: "to-ports:text random"},
		"REJECT":  {options: "reject-with:text"},
		"SECMARK": {options: "selctx:text+"},
		"SET": {options: "add-set:twoWords del-set:twoWords exist timeout:u32 map-set:twoWords map-mark map-prio" +
			" map-queue", need: "add-set del-set map-set"},
		"SNAT":     {options: "to-source:text+ random random-fully persistent"},
		"SNPT":     {family: netfilter.IPv6, options: "src-pfx:hostMask+ dst-pfx:hostMask+"},
		"SYNPROXY": {options: "sack-perm timestamp wscale:u32 mss:u32 ecn"},
		"TCPMSS":   {options: "set-mss:u16 clamp-mss-to-pmtu", need: "*"},
		"TCPOPTSTRIP": {
			options: "strip-options:text"},
		"TEE":    {options: "gateway:host+ oif:text"},
		"TOS":    {options: "set-tos:tos~a and-tos:u8~a or-tos:u8~a xor-tos:u8~a", need: "*"},
		"TPROXY": {options: "on-port:port+ on-ip:host tproxy-mark:mark"},
		"TRACE":  {},
		"TTL":    {family: netfilter.IPv4, options: "ttl-set:u8~a ttl-dec:u8(1-)~a ttl-inc:u8(1-)~a", need: "*"},
		"ULOG":   {family: netfilter.IPv4, options: "ulog-nlgroup:u8(1-32) ulog-prefix:text(1-) ulog-cprange:u64 ulog-qthreshold:u64(1-50)"},
	}
}
