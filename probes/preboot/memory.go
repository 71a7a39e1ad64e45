package preboot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// memoryFile is the file in the state directory that holds the sources of
// ssh sessions.
const memoryFile = "preboot-sources.json"

type memory struct {
	Schema  int        `json:"schema"`
	Sources []sighting `json:"sources"`
}

// recall reads what was remembered; nothing is no error.
func recall(dir string) ([]sighting, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, memoryFile)
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembered sources: %w", named(path, err))
	}
	return decodeMemory(path, data)
}

func decodeMemory(path string, data []byte) ([]sighting, error) {
	var m memory
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("remembered sources: %s: %w", path, err)
	}
	if m.Schema != 1 {
		return nil, fmt.Errorf("remembered sources: %s: schema %d is not 1", path, m.Schema)
	}
	for _, s := range m.Sources {
		if !s.Src.IsValid() || !s.Local.IsValid() {
			return nil, fmt.Errorf("remembered sources: %s: an entry has no address", path)
		}
	}
	return m.Sources, nil
}

// keep writes the memory so that a crash leaves the old one or the new one.
func keep(dir string, list []sighting) error {
	if dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(memory{1, list}, "", " ")
	if err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	// Without a daemon nobody has made it yet.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	f, err := os.CreateTemp(dir, memoryFile+".*")
	if err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, memoryFile)); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	return nil
}
