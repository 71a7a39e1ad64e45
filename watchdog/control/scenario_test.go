package control

import (
	"fmt"
	"testing"
)

func TestConvergence(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, kind := range []sender{cubic, bbr} {
			for _, shaper := range []bool{false, true} {
				for _, n := range []int{1, 4, 16, 64, 256} {
					name := fmt.Sprintf("%v/%v/shaper=%v/%d", dir, []string{"cubic", "bbr"}[kind], shaper, n)
					t.Run(name, func(t *testing.T) {
						w := lab(dir).with(n, kind)
						w.shaper = shaper
						if r := w.run(t); r.p99 > 30*ms || r.use < 0.8 {
							t.Errorf("%v", r)
						}
					})
				}
			}
		}
	}
}
