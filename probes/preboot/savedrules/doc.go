// Package savedrules finds and reads the files that a boot loads into the kernel's
// packet filter: saved iptables rules, ipsets, native nft files with their includes,
// arptables.
//
// In come paths, of this machine or below the folder of a host description; out come
// texts, with what a restore tool must not see of them, and the names whose change
// would change the answer. It never opens a device, never waits for long, never leaves
// the folder of a description, and does not interpret rules.
package savedrules
