// Package sshd tells whether and where sshd listens after the next boot of a root file
// system: its configuration, its units and its host keys come in, and addresses with
// ports, or why it does not come up, come out. It never runs a program of the tree, and
// it never takes a configuration that it cannot read for one that works.
package sshd
