package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"LinkDown", "LinkErrors", "LinkSaturated"}
	for word, want := range map[string]string{
		"LinkDonw": "LinkDown", "linkdown": "LinkDown", "LinkSaturatd": "LinkSaturated", "LinkSaturated": "LinkSaturated", "RebootUnsafe": "", "": "",
	} {
		if got, ok := Nearest(word, known); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t; want %q", word, got, ok, want)
		}
	}
}
