package section

import (
	"fmt"
	"runtime"
	"strings"
)

// describeMachine says in a few words what the figures were taken on: cores,
// processor, kernel and Go. A processor without a name is left out.
func describeMachine(read func(string) ([]byte, error)) (string, error) {
	kernel, err := read("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	cpu, err := read("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	cores := fmt.Sprintf("%d cores", runtime.NumCPU())
	if name := modelName(string(cpu)); name != "" {
		cores += " (" + name + ")"
	}
	return fmt.Sprintf("%s, Linux %s, %s", cores, strings.TrimSpace(string(kernel)), runtime.Version()), nil
}

// modelName is the first "model name" of /proc/cpuinfo (proc_cpuinfo(5)).
func modelName(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
