package nic

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const eventBuffer = 1 << 20 // bytes; room for a storm of links made and removed

// subscription is RTNLGRP_LINK.
type subscription struct{}

// Subscribe delivers events of the calling thread's network namespace.
func (subscription) Subscribe(ctx context.Context, ready func(), on func(Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	var cause error
	updates := make(chan netlink.LinkUpdate, 64)
	err := netlink.LinkSubscribeWithOptions(updates, ctx.Done(), netlink.LinkSubscribeOptions{
		ReceiveBufferSize: eventBuffer, // as far as rmem_max lets
		ErrorCallback:     func(err error) { once.Do(func() { cause = err }); cancel() },
	})
	if err != nil {
		return fmt.Errorf("subscribe to link events: %w", err)
	}
	ready()
	for u := range updates { // the library closes it when its socket ends
		if c, ok := change(u); ok {
			on(c)
		}
	}
	if cause == nil {
		return errors.New("link events ended")
	}
	return fmt.Errorf("receive link events: %w", cause)
}

// change picks the events about links themselves. A port that leaves a bridge
// is an RTM_DELLINK too, of family AF_BRIDGE, and the link lives on.
func change(u netlink.LinkUpdate) (Change, bool) {
	index := int(u.IfInfomsg.Index)
	switch {
	case u.Header.Type == unix.RTM_NEWLINK:
		return Change{Index: index}, true
	case u.Header.Type == unix.RTM_DELLINK && u.IfInfomsg.Family == unix.AF_UNSPEC:
		return Change{Index: index, Gone: true}, true
	default:
		return Change{}, false
	}
}
