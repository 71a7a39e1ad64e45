// Package roletest lets a test binary play other programs of ours, and waits for
// conditions. In come roles by name, out go command lines. It is for tests only.
package roletest
