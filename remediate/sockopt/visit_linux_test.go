package sockopt_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial/trialtest"
)

// A descriptor number that means another socket by now is left alone.
func TestReusedDescriptorIsNeverTouched(t *testing.T) {
	tr := trialtest.New(t)
	s := tr.Socket
	s.Inode++
	err := sockopt.VisitOnce(s, func(int) error { t.Error("visited"); return nil })
	if !errors.Is(err, process.ErrGone) {
		t.Errorf("%v, want gone", err)
	}
}

// A socket is known by the kernel's own number: neither another one of the same inode
// nor one of the same address is taken for it.
func TestAnotherSocketIsNotTouched(t *testing.T) {
	tr := trialtest.New(t)
	var cookie uint64
	if err := tr.Visit(func(fd int) (err error) {
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for c, there := range map[uint64]bool{cookie: true, cookie + 1: false} {
		s := tr.Socket
		s.Cookie = c
		err := sockopt.VisitOnce(s, func(int) error { return nil })
		if (err == nil) != there || !there && !errors.Is(err, process.ErrGone) {
			t.Errorf("cookie %d of %d: %v", c, cookie, err)
		}
		if stands, err := sockopt.Exists(s); stands != there || err != nil {
			t.Errorf("cookie %d of %d: stands %v, %v", c, cookie, stands, err)
		}
	}
}
