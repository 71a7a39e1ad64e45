// Package procevents subscribes to the kernel's proc connector (linux/cn_proc.h). Out come
// batches of fork, exec and exit of processes as they happen, and the word that some were
// lost. It never tells of threads, and believes no message that the kernel did not send.
package procevents
