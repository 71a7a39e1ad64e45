package files

import "context"

// Until runs f, and gives up waiting for it when the context ends: ok is false then.
// Nothing can end a call that hangs in a dead file system: it is left behind.
func Until[T any](ctx context.Context, f func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result = <-done:
		return result, true
	case <-ctx.Done():
		return result, false
	}
}
