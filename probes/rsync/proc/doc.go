// Package proc reads /proc (proc(5)) of the processes of this host by direct system
// calls. In comes the root of a procfs and a pid; out go a process's state, executable,
// command line, descriptors and bytes read and written, each read split from its parser.
// It never follows a descriptor to a file, and takes no pid for a process without its
// start time.
package proc
