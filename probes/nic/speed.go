package nic

// maxSpeed is the fastest Ethernet there is, in bytes/s.
const maxSpeed = 800e9 / 8

// invented are drivers whose speed is a constant or the host's, not the link's.
var invented = map[string]bool{
	"virtio_net": true, "veth": true, "tun": true, "vmxnet3": true, "hv_netvsc": true, "vif": true,
	"xen_netfront": true, "ena": true, "gve": true, "e1000": true, "8139cp": true, "ne2k-pci": true,
	"dummy": true, "ifb": true, "netdevsim": true,
}

// aggregates are the kinds that give the speed of what lies beneath.
var aggregates = map[string]bool{"vlan": true, "macvlan": true, "macvtap": true, "bond": true, "team": true}

// believed is the speed of a link in bytes/s, 0 when the driver gives none or
// is known to invent it. A stacked link is believed when all beneath it are.
func believed(info Info, lower []int, infos map[int]Info) float64 {
	if info.Speed <= 0 || info.Speed > maxSpeed {
		return 0
	}
	if info.Kind == "device" {
		if info.Driver == "" || invented[info.Driver] {
			return 0
		}
		return info.Speed
	}
	if !aggregates[info.Kind] || len(lower) == 0 {
		return 0
	}
	for _, index := range lower {
		if beneath := infos[index]; beneath.Kind != "device" || beneath.Carrier && believed(beneath, nil, infos) == 0 {
			return 0
		}
	}
	return info.Speed
}
