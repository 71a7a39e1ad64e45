package control

import (
	"fmt"
	"testing"
)

func TestLinks(t *testing.T) {
	for _, dir := range []Direction{Rx, Tx} {
		for _, kind := range []sender{cubic, bbr} {
			for _, c := range []float64{10 * mbit, 100 * mbit, gbit, 10 * gbit, 25 * gbit} {
				for _, rtt := range []float64{0.2 * ms, 10 * ms, 50 * ms, 200 * ms} {
					for _, sh := range []bool{false, true} {
						t.Run(fmt.Sprintf("%v/%v/%gM/%gms/%v", dir, kind, c/mbit, rtt/ms, sh), func(t *testing.T) {
							w := lab(dir)
							w.capacity, w.rtt, w.buffer, w.shaper = c, rtt, c*0.15, sh
							w.length, w.calmFrom = 25, 15
							w.with(8, kind)
							w.run(t)
						})
					}
				}
			}
		}
	}
}
