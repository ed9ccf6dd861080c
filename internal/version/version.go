// Package version says which build this is, and compares versions. A build's values come from the Go tool's own record
// of the build, so that there is nothing to stamp and nothing to forget; a release is a tag.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info describes a build.
type Info struct {
	Version  string `json:"version"`  // the module's version, or "devel"
	Revision string `json:"revision"` // the commit, where the build knew it
	Modified bool   `json:"modified"` // the tree had uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Get reads the record of this build.
func Get() Info {
	i := Info{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	if v := b.Main.Version; v != "" && v != "(devel)" {
		i.Version = v
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i
}

func (i Info) String() string {
	s := "jeroboam " + i.Version
	if i.Revision != "" {
		s += " (" + i.Revision[:min(len(i.Revision), 12)]
		if i.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return fmt.Sprintf("%s %s %s", s, i.Go, i.Platform)
}
