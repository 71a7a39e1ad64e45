package web

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// grace is how long a connection may be silent at least before it has to go for
// another: who comes in a flood has to wait for at most the kernel's queue (4096
// connections) times grace by most.
const grace = 20 * time.Millisecond

// visitors is a listener that lets everybody in at once and bounds how many are
// inside. Beyond that the one goes who has kept the server waiting for the
// longest: a connection whose request is not complete, else one that is slow to
// take its answer. So nobody who asks and listens waits behind those who do not.
type visitors struct {
	net.Listener
	most int

	mu      sync.Mutex
	waiting list.List // of *visitor, oldest first: no complete request yet, or none after an answer
	served  list.List // of *visitor, oldest first: its request is read
}

// visitor is one connection, in one of the lists until it is closed.
type visitor struct {
	net.Conn
	all   *visitors
	in    *list.List // nil once it has gone
	at    *list.Element
	since time.Time // when it came into the list
}

// Accept lets the next one in, and somebody else out where there is no room.
func (v *visitors) Accept() (net.Conn, error) {
	c, err := v.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &visitor{Conn: c, all: v}
	for {
		out, wait := v.admit(n)
		if out != nil {
			_ = out.Conn.Close() // whoever serves it sees that it is gone
		}
		if wait <= 0 {
			return n, nil
		}
		time.Sleep(wait)
	}
}

// admit takes a visitor in, and returns the one that has to go for it, if any;
// or it returns how long to wait until somebody may be sent away.
func (v *visitors) admit(n *visitor) (out *visitor, wait time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting.Len()+v.served.Len() >= v.most {
		oldest, slow := v.waiting.Front(), false
		if oldest == nil {
			oldest, slow = v.served.Front(), true
		}
		out = oldest.Value.(*visitor)
		if wait = grace - time.Since(out.since); wait > 0 {
			return nil, wait
		}
		out.leave()
		if c, ok := out.Conn.(*net.TCPConn); ok && slow {
			_ = c.SetLinger(0) // what it did not take of its answer is not kept for it
		}
	}
	n.enter(&v.waiting)
	return out, 0
}

// note is the http.Server's ConnState: a connection is active once all of a
// request's header is read, and idle after the answer.
func (v *visitors) note(c net.Conn, s http.ConnState) {
	n, ok := c.(*visitor)
	if !ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case n.in == nil:
	case s == http.StateActive:
		n.leave()
		n.enter(&v.served)
	case s == http.StateIdle:
		n.leave()
		n.enter(&v.waiting)
	}
}

// Close ends the connection.
func (n *visitor) Close() error {
	n.all.mu.Lock()
	n.leave()
	n.all.mu.Unlock()
	return n.Conn.Close()
}

func (n *visitor) enter(l *list.List) { n.in, n.at, n.since = l, l.PushBack(n), time.Now() }

func (n *visitor) leave() {
	if n.in != nil {
		n.in.Remove(n.at)
	}
	n.in, n.at = nil, nil
}
