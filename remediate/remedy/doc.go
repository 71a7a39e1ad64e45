// Package remedy holds what all remedies share: their names, what is left where one is
// missing, and a count of uses within an hour. In come names and times, out go names and
// numbers. It never touches the kernel.
package remedy
