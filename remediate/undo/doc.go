// Package undo takes back what ledger entries list, with nothing but the entries. In
// comes a run directory, a ledger or its entries, out goes what became of each. It never
// counts as undone what still stands, and one failure never keeps the others from being
// undone.
package undo
