package host

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// RestoreMark is on a node while a backup is being restored there; it holds the archive's digest.
const RestoreMark = Directory + "/restoring"

// AgentName is the name of this program below Agents, on hosts and in their containers.
func AgentName() string {
	self, err := os.Executable()
	if err != nil {
		return "" // then nothing can be started in a container either, which says it
	}
	return filepath.Base(self)
}

// Part asks for a part of a file.
type Part struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
	Length int    `json:"length"`
}

// maxPart bounds a part: it travels in a line.
const maxPart = 8 << 20

// ReadPart reads a part of a file; it is shorter than asked for, or empty, at the end.
func ReadPart(m *Machine, p Part) ([]byte, error) {
	if p.Length < 0 || p.Length > maxPart || p.Offset < 0 {
		return nil, fmt.Errorf("%d bytes at %d cannot be asked for", p.Length, p.Offset)
	}
	f, err := os.Open(m.path(p.Path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.NewSectionReader(f, p.Offset, int64(p.Length)))
}
