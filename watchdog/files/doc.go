// Package files opens with care what a configuration names: a path may lead to a
// FIFO, a device or a mount whose server is gone, and whoever opens it must
// neither wait for ever nor do something by opening. It also tells whether what
// stands somewhere could be another user's.
package files
