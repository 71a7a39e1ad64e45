package rules

// Load says whether the restore tool of the boot would load the files.
type Load string

const (
	// LoadOK: loaded as a whole.
	LoadOK Load = "ok"
	// LoadFails: refused; tables committed before the error stay loaded.
	LoadFails Load = "fails"
	// LoadUnknown: could not be found out.
	LoadUnknown Load = "unknown"
)
