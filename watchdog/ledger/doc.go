// Package ledger is the list of what Lifeline changed in the kernel and how to
// undo it. In come changes before they are made and keys of those that were undone, out
// goes what is live, for a guard, a restart or `lifeline release` to undo after any death of
// the daemon. It never touches what it lists, and trusts no file that another user could
// have written.
//
// The file is append-only, one checksummed JSON record a line, on tmpfs: what
// it undoes does not survive a reboot either, and a disk would make the
// control loop wait. There is one writer, without a lock; anybody may read at
// any time.
package ledger
