// Package boot tells what the next boot of a root file system does to management: who
// configures its link, whether and where sshd listens, and which rules files are loaded in
// which orders. A directory and a question come in; scenarios of files to judge, and
// remarks that bear on the answer without a judgement of rules, go out. It judges no rule,
// runs no program of the tree and changes nothing.
package boot
