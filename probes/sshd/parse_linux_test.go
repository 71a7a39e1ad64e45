package sshd

import "testing"

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\tUid: 0 0 0 0\\nUid:\t0\t0\t0\t0\nPid:\t7\nPPid:\t3\nUid:\t65534\t65534\t65534\t65534\n"))
	f.Add([]byte("PPid:\t\nUid:\t0\t0\t0\t0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var id Identity
		_ = id.parse(text)
	})
}

func TestParseStatus(t *testing.T) {
	var id Identity
	text := "Name:\tUid:\\nUid:\t0\t0\t0\t0\nUmask:\t0022\nPid:\t7\nPPid:\t3\nUid:\t1\t2\t3\t4\n"
	if err := id.parse([]byte(text)); err != nil || id.Parent != 3 || id.UIDs != [3]uint32{1, 2, 3} {
		t.Errorf("%+v, %v", id, err)
	}
	for _, bad := range []string{"", "PPid:\t3\n", "Uid:\t0\t0\t0\t0\n", "PPid:\tx\nUid:\t0\t0\t0\t0\n", "PPid:\t3\nUid:\t0\t-1\t0\t0\n", "PPid:\t3\nUid:\t0\t0\t0\n"} {
		if err := new(Identity).parse([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
