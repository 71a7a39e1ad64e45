package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// endings are the signals that end a command in order: the daemon undoes
// everything first. SIGQUIT (Ctrl-\) is one of them, for it comes from a person at
// the keyboard; SIGABRT still ends the process at once, with the stacks of all
// goroutines, and leaves the undoing to the guard.
var endings = []os.Signal{os.Interrupt, unix.SIGTERM, unix.SIGQUIT}

// outlive keeps signals from ending this process. They are caught and not
// ignored: what is ignored would be ignored by the programs that we start too.
func outlive(sigs ...os.Signal) { signal.Notify(make(chan os.Signal, 1), sigs...) }
