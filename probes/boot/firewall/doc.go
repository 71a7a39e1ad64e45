// Package firewall tells what a boot loads into the packet filter: the units that it
// starts and the files of the root come in, and the rules files in the order of their
// loading, with what happens when one fails, come out, beside what was meant to be loaded
// and is not, and what is not understood. It never judges a rule, and never takes what it
// does not understand for nothing.
package firewall
