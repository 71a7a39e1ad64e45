package proctable

import (
	"testing"

	"lifeline/probes/rsync/proc"
)

func TestContest(t *testing.T) {
	const mb = 1 << 20
	type look struct {
		inode        uint64
		socket, proc proc.IO
	}
	for name, c := range map[string]struct {
		looks []look
		want  uint64
	}{
		"nothing moves": {looks: []look{{1, moved(5*mb, 0), moved(9*mb, 0)}, {1, moved(5*mb, 0), moved(9*mb, 0)}}},
		"the one that moves with a sender": {want: 2, looks: []look{
			{1, moved(mb, 9*mb), proc.IO{}}, {2, proc.IO{}, proc.IO{}},
			{1, moved(mb, 9*mb), moved(mb, mb)}, {2, moved(1000, mb), moved(mb, mb)},
		}},
		"the one that moves with a receiver that also reads its old files": {want: 2, looks: []look{
			{1, proc.IO{}, proc.IO{}}, {2, proc.IO{}, proc.IO{}},
			{1, moved(1000, 1000), moved(4*mb, mb)}, {2, moved(mb, 1000), moved(4*mb, mb)},
		}},
		"too little":                         {looks: []look{{1, proc.IO{}, proc.IO{}}, {1, moved(leastBytes-1, 0), moved(mb, mb)}}},
		"one that moves without the process": {looks: []look{{1, proc.IO{}, proc.IO{}}, {1, moved(8*mb, 0), moved(mb, mb)}}},
		"busy ones of somebody else, and its own": {want: 2, looks: []look{
			{1, proc.IO{}, proc.IO{}}, {2, proc.IO{}, proc.IO{}}, {3, proc.IO{}, proc.IO{}},
			{1, moved(9*mb, 0), moved(mb, 2*mb)}, {2, moved(0, mb), moved(mb, 2*mb)}, {3, moved(0, 9*mb), moved(mb, 2*mb)},
		}},
		"two that could be": {looks: []look{
			{1, proc.IO{}, proc.IO{}}, {2, proc.IO{}, proc.IO{}},
			{1, moved(0, mb), moved(mb, 2*mb)}, {2, moved(0, mb), moved(mb, 2*mb)},
		}},
		"a process that was another": {looks: []look{{1, proc.IO{}, moved(mb, mb)}, {1, moved(mb, 0), proc.IO{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var x correlation
			for _, l := range c.looks {
				x.observe(l.inode, l.socket, l.proc)
			}
			got, ok := x.best()
			if ok != (c.want != 0) || ok && got != c.want {
				t.Errorf("got %d, %v, want %d", got, ok, c.want)
			}
		})
	}
}

func moved(in, out uint64) proc.IO { return proc.IO{In: in, Out: out} }
