// Package sandbox loads rule files with the real restore tools into a scratch network
// that mirrors a host, and sends real connections there.
//
// In come a network to build, files to load and connections to try; out come what the
// tools said and what became of the connections. All of it happens in a child process,
// in namespaces of its own.
//
// A rules file is hostile input: the tools run with a read-only root that shows programs
// and name tables only, with two capabilities and no way to gain more, under limits of
// memory and time, and die with their parent. Nothing of the host is ever changed, and
// nothing stays behind.
package sandbox
