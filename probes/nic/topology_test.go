package nic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLowest(t *testing.T) {
	infos := map[int]Info{
		1:  {Kind: "device"},
		2:  {Kind: "device", Master: 4},
		3:  {Kind: "device", Master: 4},
		4:  {Kind: "bond", Master: 6},
		5:  {Kind: "vlan", Parent: 4},
		6:  {Kind: "bridge"},
		7:  {Kind: "veth", Parent: 1, Master: 6},
		8:  {Kind: "macvlan", Parent: 5},
		9:  {Kind: "vlan", Parent: 99}, // the parent is not known
		10: {Kind: "vlan", Parent: 11}, // a cycle, as no kernel makes
		11: {Kind: "vlan", Parent: 10},
		12: {Kind: "vlan", Parent: 12},
	}
	for index, info := range infos {
		info.Index = index
		infos[index] = info
	}
	want := map[int][]int{4: {2, 3}, 5: {2, 3}, 6: {2, 3, 7}, 8: {2, 3}, 10: nil, 11: nil}
	if diff := cmp.Diff(want, lowest(infos)); diff != "" {
		t.Error(diff)
	}
}

func TestBelieved(t *testing.T) {
	infos := map[int]Info{
		1: {Kind: "device", Driver: "igb", Speed: 125e6, Carrier: true},
		2: {Kind: "device", Driver: "virtio_net", Speed: 125e6, Carrier: true},
		3: {Kind: "device", Driver: "igb", Carrier: false},
	}
	for name, c := range map[string]struct {
		info  Info
		lower []int
		want  float64
	}{
		"a NIC":                {infos[1], nil, 125e6},
		"virtio":               {infos[2], nil, 0},
		"no driver":            {Info{Kind: "device", Speed: 125e6}, nil, 0},
		"speed unknown":        {infos[3], nil, 0},
		"negative":             {Info{Kind: "device", Driver: "igb", Speed: -1}, nil, 0},
		"absurd":               {Info{Kind: "device", Driver: "igb", Speed: 1e15}, nil, 0},
		"veth":                 {Info{Kind: "veth", Driver: "veth", Speed: 1250e6}, nil, 0},
		"tun":                  {Info{Kind: "tun", Driver: "tun", Speed: 1.25e6}, nil, 0},
		"vlan on a NIC":        {Info{Kind: "vlan", Speed: 125e6}, []int{1}, 125e6},
		"vlan on virtio":       {Info{Kind: "vlan", Speed: 125e6}, []int{2}, 0},
		"bond, one cable out":  {Info{Kind: "bond", Speed: 125e6}, []int{1, 3}, 125e6},
		"bond with virtio":     {Info{Kind: "bond", Speed: 250e6}, []int{1, 2}, 0},
		"bridge":               {Info{Kind: "bridge", Speed: 125e6}, []int{1}, 0},
		"vlan of unknown link": {Info{Kind: "vlan", Speed: 125e6}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := believed(c.info, c.lower, infos); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
