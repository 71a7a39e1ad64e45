// Package systemd tells what systemd will start at the next boot of a root file
// system: unit files, drop-ins and links come in, and the units that default.target
// reaches, with what pulled each in and why others stay out, come out. It knows what
// the manager does (systemd.unit(5), src/core/transaction.c) and never asks one,
// and it runs no program of the tree: what generators would make is written by
// itself for those it knows, and reported as a doubt for those it does not.
package systemd
