package hostinfo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeline/watchdog/files"
)

// sightingsName is the file in the state directory that holds the sources of
// ssh sessions.
const sightingsName = "preboot-sources.json"

const (
	// sightingsPatience is how long the file may take: what is not read is forgotten.
	sightingsPatience = 12 * time.Second
	// maxSightingsBytes is far beyond what maxSightings take.
	maxSightingsBytes = 64 << 20
)

type sightingsFile struct {
	Schema  int        `json:"schema"`
	Sources []Sighting `json:"sources"`
}

// LoadSightings reads what was remembered; nothing is no error.
func LoadSightings(dir string) ([]Sighting, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, sightingsName)
	r := files.NewReader()
	r.Patience = sightingsPatience
	data, err := r.Read(context.Background(), path, maxSightingsBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembered sources: %s: %w", path, err)
	}
	return decodeSightings(path, data)
}

func decodeSightings(path string, data []byte) ([]Sighting, error) {
	var m sightingsFile
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

// SaveSightings writes the memory so that a crash leaves the old one or the new one.
func SaveSightings(dir string, list []Sighting) error {
	if dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(sightingsFile{1, list}, "", " ")
	if err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	// Without a daemon nobody has made it yet.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	f, err := os.CreateTemp(dir, sightingsName+".*")
	if err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, sightingsName)); err != nil {
		return fmt.Errorf("remember sources: %w", err)
	}
	return nil
}
