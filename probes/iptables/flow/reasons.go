package flow

import (
	"strings"

	"lifeline/probes/iptables/rules"
)

// targetReason names the assumption behind a target that is not modelled.
func targetReason(r *rules.Rule) string { return strings.ToLower(r.Target.Name) }

// whyUnknown says in one sentence what an assumption is about.
func whyUnknown(name string) string {
	switch name {
	case "limit", "hashlimit", "connlimit", "rateest", "quota", "connbytes":
		return "the rule applies only below or above a rate or count, which depends on the traffic at the time"
	case "recent":
		return "the rule depends on the addresses seen before"
	case "statistic":
		return "the rule applies to some packets by chance or by turn"
	case "time":
		return "the rule applies at some times only"
	case "set", "ipset":
		return "the content of the ipset at boot is not known"
	case "owner":
		return "the rule depends on the local process or its user"
	case "mac", "pkttype", "physdev", "devgroup", "realm", "policy":
		return "the rule depends on how the packet travels, which the files do not say"
	case "string", "u32", "bpf", "length", "tcpmss", "tcp-option", "ttl", "hl", "dscp", "tos", "ecn", "osf":
		return "the rule depends on the content of the packet"
	case "address mask":
		return "the mask has too many holes to look at every source"
	case "dns":
		return "the rule names a host that is looked up when it is loaded"
	case "nfqueue", "queue":
		return "a program decides about the packet, or none is listening"
	case "synproxy":
		return "the handshake is proxied, which depends on kernel settings"
	case "tcp-flags":
		return "answers of more than one segment, or none but acknowledgements, are dropped"
	case "mark":
		return "the mark of the packet is not certain here"
	case "conntrack state", "conntrack entry":
		return "the conntrack state of the packet is not certain here"
	case "translated address", "translated port", "translated source", "nat":
		return "what the packet is translated to is picked at run time"
	case "addrtype":
		return "the type of the address depends on the routes"
	case "service name", "protocol":
		return "the name is looked up in the machine's tables when it is loaded"
	}
	return "this match or target is not modelled"
}
