// Package store is a bbolt file that may be damaged, deleted or taken by others
// without harm to the process that uses it.
//
// bbolt believes what its file says: a page number that lies is a panic, an
// endless loop or a stack that overflows, and a file that shrinks is a fault of
// the mapped memory. So a file is checked from end to end by plain reads before
// bbolt sees it, and again whenever somebody else has changed it since; faults
// and panics that come all the same are errors. What to do about one is the
// owner's: see Damaged, PutAside and Restore.
package store
