package preboot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"lifeline/probes/iptables/kernelmem"
	"lifeline/probes/preboot/savedrules"
)

const (
	// mostKernelMemory and leastKernelMemory bound what files may ask of the
	// kernel, in bytes; between them it is one part in memoryShare of the memory.
	// 100,000 rules take 100 MB.
	mostKernelMemory  = 256 << 20
	leastKernelMemory = 128 << 20
	memoryShare       = 8
)

// demand is what the files of a check ask of the kernel, all together. The kernel
// is the host's: no namespace keeps a table from taking its memory.
type demand struct {
	sum  kernelmem.Demand
	most uint64 // bytes
}

// tooCostly says why a file is not loaded.
type tooCostly struct{ error }

// add takes a file in. An error says that the files ask for too much with it.
func (d *demand) add(f *bootFile) error {
	switch f.Role {
	case savedrules.RoleIPSets:
		d.sum.IPSets(f.Path, f.Text)
	case savedrules.RoleNFT:
		files := []kernelmem.NFTFile{{Name: f.Path, Text: f.Text}}
		for _, in := range f.Includes {
			files = append(files, kernelmem.NFTFile{Name: in.Path, Text: in.Text, Times: in.Times})
		}
		d.sum.NFT(files...)
	default:
		d.sum.Rules(f.Path, f.Text)
	}
	if d.sum.Total() <= d.most {
		return nil
	}
	return tooCostly{fmt.Errorf("%s of kernel memory: more than %s is not loaded, not even in the scratch namespace", d.sum.Most(), kernelmem.Size(d.most))}
}

// fixForRefused is the fix for a file that no tool may see.
func fixForRefused(refused error) string {
	if errors.As(refused, &tooCostly{}) {
		return "make the file ask for less"
	}
	return "take the program out of the rule"
}

// kernelMemory is what files may ask of this host's kernel, in bytes.
func kernelMemory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return leastKernelMemory
	}
	return shareOf(text)
}

// shareOf reads proc_meminfo(5).
func shareOf(meminfo []byte) uint64 {
	for line := range bytes.Lines(meminfo) {
		f := bytes.Fields(line)
		if len(f) < 2 || string(f[0]) != "MemTotal:" {
			continue
		}
		if kB, err := strconv.ParseUint(string(f[1]), 10, 64); err == nil {
			return min(max(kB<<10/memoryShare, leastKernelMemory), mostKernelMemory)
		}
	}
	return leastKernelMemory
}
