// Package lab is Lifeline's test bed: a small network of network namespaces
// with a slow, deeply queued bottleneck, real rsync and ssh servers, real
// rsync clients, and an administrator whose round-trip time is measured. The
// end-to-end tests, the benchmarks and `lifeline demo` run in it.
//
//	  srv                      sw (switch)                    cli
//	+------+      +-----------------------------------+     +------+
//	| eth0 |------|p-srv br1 up1==========up2 br2 p-cli|-----| eth0 |
//	+------+      |                            p-mgmt |--+  +------+
//	10.77.0.1     +-----------------------------------+  |  10.77.0.2
//	rsync --daemon (873)                                 |   mgmt
//	sshd (22)                                            |  +------+
//	                                                     +--| eth0 |
//	                                                        +------+
//	                                                        10.77.0.3
//
// srv is the backup server that Lifeline protects, cli runs the rsync clients,
// mgmt is the administrator's machine. The bottleneck is a token bucket with a
// byte-limited FIFO in each direction (100 Mbit/s and 2 MB unless said
// otherwise): once rsync fills it, an administrator's packet waits 160 ms.
//
//   - AtUplink puts it between the two bridges (up1 and up2), so srv's own link
//     shows no queue at all. This is also what a slow network card looks like.
//   - AtServerLink puts it on srv's link: the token bucket is the root qdisc of
//     srv's eth0 (an operator's qdisc, as Lifeline sees it) and of the switch
//     port towards srv.
//   - BeyondGateway inserts a router gw between srv (10.77.0.0/24) and the
//     switch (10.78.0.0/24 with cli and mgmt), and the bottleneck lies after
//     it: the gateway stays near while management is far.
//
// A gateway may also stand beyond the uplink of the flat topologies, where it
// is merely srv's default route. It answers pings, drops them, or answers late.
//
// With Options.IPv6 each host also has fd77::N (fd78::N beyond the gateway).
// Options.BaseRTT makes the cable between the bridges long: a relay in this
// process carries its frames between two TAP devices and holds each one half
// that time, at most 0.3 ms late on an idle machine. (netem would do it better,
// but many kernels lack it.)
//
// Link MTU and offloads are the kernel's defaults for veth. Neighbours are
// static, so that a full queue never costs an address lookup.
//
// # What it changes on the host
//
// Namespaces are bind-mounted as /run/netns/ll-PID-START-RANDOM-HOST, where
// `ip netns` finds them; PID and START (clock ticks since boot) name the
// owning process, so that Sweep can remove what a killed owner left behind.
// /run/netns itself becomes a shared mount, as with `ip netns add`, and stays.
// /run/sshd is created if it is missing, because sshd refuses to start without
// it, and stays; sshd records the lab's logins in wtmp and lastlog as any sshd
// does. A congestion control that the host restricts is allowed for
// the moment in which the namespaces adopt it and restricted again at once.
// Everything else lives in the namespaces and in a directory of the lab's own
// under /dev/shm (or the temporary directory), and Close removes it.
//
// # Processes
//
// Processes run in a host's network namespace but share everything else with
// the caller: /sys is the caller's, so /sys/fs/cgroup is visible, and
// /sys/class/net shows the caller's links. Read counters by netlink there.
// Close kills precisely the processes that are in the lab's namespaces or
// carry its mark in their environment. Should the owner be killed, the kernel
// kills the processes that it started directly, and the next lab sweeps the
// rest.
package lab
