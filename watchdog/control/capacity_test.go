package control

import "testing"

// A clock that goes back takes what was measured with it, and makes no
// measurement of none.
func TestMeasuredGoesBackWithTheClock(t *testing.T) {
	c := New(Settings{})
	if c.rewind(-5); c.cap.measured != 0 {
		t.Errorf("never measured, and then at %g s", c.cap.measured)
	}
	c.cap.measured = 7
	if c.rewind(-5); c.cap.measured != 2 {
		t.Errorf("measured at %g s, want 2", c.cap.measured)
	}
}
