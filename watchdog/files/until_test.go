package files

import (
	"context"
	"testing"
)

func TestPatiently(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	if got, ok := Until(ctx, func() int { return 7 }); got != 7 || !ok {
		t.Errorf("got %d, %v", got, ok)
	}
	hang := make(chan int)
	defer close(hang)
	cancel()
	if _, ok := Until(ctx, func() int { return <-hang }); ok {
		t.Error("waited for what hangs")
	}
}
