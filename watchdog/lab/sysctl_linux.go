package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysctl writes a setting of the calling thread's network namespace.
func sysctl(key, value string) error {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("lab: sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

const allowedCC = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

// withCCAllowed runs f while the host allows the congestion control cc to
// namespaces. The kernel asks only when a namespace adopts it as its default
// (tcp_set_default_congestion_control in net/ipv4/tcp_cong.c), so the host's
// setting is changed for that moment alone; the lock keeps concurrent labs
// from restoring each other's changes.
func withCCAllowed(cc string, f func() error) error {
	unlock, err := lockNetnsDir()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := os.ReadFile(allowedCC)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if slices.Contains(strings.Fields(string(before)), cc) {
		return f()
	}
	if err := os.WriteFile(allowedCC, []byte(strings.TrimSpace(string(before))+" "+cc), 0); err != nil {
		return fmt.Errorf("lab: allow congestion control %s: %w", cc, err)
	}
	err = f()
	if back := os.WriteFile(allowedCC, before, 0); back != nil && err == nil {
		err = fmt.Errorf("lab: restore allowed congestion controls: %w", back)
	}
	return err
}

// adoptCC makes cc the default of every given host.
func adoptCC(cc string, hosts ...*Host) error {
	return withCCAllowed(cc, func() error {
		for _, h := range hosts {
			if err := h.Sysctl("net.ipv4.tcp_congestion_control", cc); err != nil {
				return err
			}
		}
		return nil
	})
}
