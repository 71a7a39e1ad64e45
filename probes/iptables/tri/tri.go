package tri

// Value is the outcome of a match where not everything is known (Kleene).
type Value uint8

const (
	No Value = iota
	Yes
	Maybe
)

// Not is what is so where t is not.
func (t Value) Not() Value {
	switch t {
	case No:
		return Yes
	case Yes:
		return No
	}
	return Maybe
}

// And is so where both are, and not so where one is not.
func (t Value) And(u Value) Value {
	switch {
	case t == No || u == No:
		return No
	case t == Maybe || u == Maybe:
		return Maybe
	}
	return Yes
}

// Of is the value of what is known.
func Of(b bool) Value {
	if b {
		return Yes
	}
	return No
}
