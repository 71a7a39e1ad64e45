package rsync

import "testing"

func TestContest(t *testing.T) {
	const mb = 1 << 20
	type look struct {
		inode        uint64
		socket, proc passed
	}
	for name, c := range map[string]struct {
		looks []look
		want  uint64
	}{
		"nothing moves": {looks: []look{{1, passed{5 * mb, 0}, passed{9 * mb, 0}}, {1, passed{5 * mb, 0}, passed{9 * mb, 0}}}},
		"the one that moves with a sender": {want: 2, looks: []look{
			{1, passed{mb, 9 * mb}, passed{}}, {2, passed{}, passed{}},
			{1, passed{mb, 9 * mb}, passed{mb, mb}}, {2, passed{1000, mb}, passed{mb, mb}},
		}},
		"the one that moves with a receiver that also reads its old files": {want: 2, looks: []look{
			{1, passed{}, passed{}}, {2, passed{}, passed{}},
			{1, passed{1000, 1000}, passed{4 * mb, mb}}, {2, passed{mb, 1000}, passed{4 * mb, mb}},
		}},
		"too little":                         {looks: []look{{1, passed{}, passed{}}, {1, passed{rivalBytes - 1, 0}, passed{mb, mb}}}},
		"one that moves without the process": {looks: []look{{1, passed{}, passed{}}, {1, passed{8 * mb, 0}, passed{mb, mb}}}},
		"busy ones of somebody else, and its own": {want: 2, looks: []look{
			{1, passed{}, passed{}}, {2, passed{}, passed{}}, {3, passed{}, passed{}},
			{1, passed{9 * mb, 0}, passed{mb, 2 * mb}}, {2, passed{0, mb}, passed{mb, 2 * mb}}, {3, passed{0, 9 * mb}, passed{mb, 2 * mb}},
		}},
		"two that could be": {looks: []look{
			{1, passed{}, passed{}}, {2, passed{}, passed{}},
			{1, passed{0, mb}, passed{mb, 2 * mb}}, {2, passed{0, mb}, passed{mb, 2 * mb}},
		}},
		"a process that was another": {looks: []look{{1, passed{}, passed{mb, mb}}, {1, passed{mb, 0}, passed{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var x contest
			for _, l := range c.looks {
				x.see(l.inode, l.socket, l.proc)
			}
			got, ok := x.winner()
			if ok != (c.want != 0) || ok && got != c.want {
				t.Errorf("got %d, %v, want %d", got, ok, c.want)
			}
		})
	}
}
