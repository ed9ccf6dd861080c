package intent

import (
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Mappings of Jeroboam's own, each with a few settings: places of backups, registries. What is in one and means nothing
// is a mistake of somebody who counts on it.

// setting takes the value of a setting; false is a value of another type.
type setting func(v osa.Value) bool

// ofText is a setting that is text.
func ofText(to *string) setting {
	return func(v osa.Value) (ok bool) {
		*to, ok = asText(v)
		*to = strings.TrimSpace(*to)
		return ok
	}
}

// ofSecret is a setting that is secret wherever it was written: the file of secrets, a vault, or in plain sight.
func (s *scope) ofSecret(to *string) setting {
	return func(v osa.Value) (ok bool) {
		s.r.rememberTexts(v)
		*to, ok = asText(v)
		return ok
	}
}

// settings reads a mapping at a path. known is what people are told to write.
func (s *scope) settings(path, name, code, known string, m *osa.Map, all map[string]setting) {
	for _, e := range m.Entries() {
		key := fmt.Sprint(e.Key)
		set, ok := all[key]
		switch {
		case !ok:
			s.r.fail(code, s.r.at(path), "it has "+known, "%s has %s, which has no effect", name, s.r.show(path, key))
		case e.Value != nil && !set(e.Value):
			s.r.fail(code, s.r.at(path), "it has "+known, "%s of %s is of another type", s.r.show(path, key), name)
		}
	}
}
