package hostinfo

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often a listing is asked for that changed meanwhile.
const dumpTries = 20

// Dump asks for a listing again where the kernel says that it changed under
// way (NLM_F_DUMP_INTR of netlink(7)).
func Dump[T any](list func() ([]T, error)) (out []T, err error) {
	for range dumpTries {
		if out, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}
