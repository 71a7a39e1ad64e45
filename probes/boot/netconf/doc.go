// Package netconf tells who configures a link at the next boot of a root file system, and
// with which addresses: the files of ifupdown, networkd, netplan, NetworkManager and
// RHEL's network scripts come in, and when each address is there, or why it is not, come
// out. It changes no configuration, and does not take an address that a running machine
// has for one that it will have.
package netconf
