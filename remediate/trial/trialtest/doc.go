// Package trialtest gives tests a transfer to try remedies on: a connection whose receiver
// is a child of the test. In comes a test, out goes a connection that ends with it. It is
// for tests only.
package trialtest
