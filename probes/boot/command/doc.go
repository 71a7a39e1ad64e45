// Package command tells what a command of a boot does to the packet filter. A command
// line, a shell text or a script of the tree comes in; the rules files that it loads, the
// firewall managers that it starts, and what it does that is not understood come out.
// Nothing is executed, and what depends on anything but the files of the tree is reported
// as not understood.
package command
