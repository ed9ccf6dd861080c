package intent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// copies reads the places that backups are copied to: a list of mappings.
func (s *scope) copies(path, name string) []BackupCopy {
	out := []BackupCopy{}
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return out
	}
	list, ok := v.(*osa.List)
	if !ok {
		s.wrong(name, nil, "a list of places, each with url")
		return out
	}
	for i, item := range list.Items() {
		m, ok := item.(*osa.Map)
		if !ok {
			s.wrong(name, nil, "a list of places, each with url")
			continue
		}
		out = append(out, s.copy(fmt.Sprintf("%s[%d]", path, i), name, m))
	}
	return out
}

// copy reads one place. What is secret is so wherever it was written: the file of secrets, a vault, or in plain sight.
func (s *scope) copy(path, name string, m *osa.Map) BackupCopy {
	var c offsite.Target
	text := func(to *string) func(osa.Value) bool {
		return func(v osa.Value) bool {
			got, ok := asText(v)
			*to = strings.TrimSpace(got)
			return ok
		}
	}
	secret := func(to *string) func(osa.Value) bool {
		return func(v osa.Value) (ok bool) {
			s.r.rememberTexts(v)
			*to, ok = asText(v)
			return ok
		}
	}
	fields := map[string]func(osa.Value) bool{
		"url": text(&c.URL), "access_key": text(&c.AccessKey), "secret_key": secret(&c.SecretKey), "region": text(&c.Region), "ca": text(&c.CA),
		"private_key": secret(&c.PrivateKey), "host_key": text(&c.HostKey),
		"insecure": func(v osa.Value) (ok bool) { c.Insecure, ok = asBool(v); return ok },
		"keep":     func(v osa.Value) (ok bool) { c.Keep, ok = asInt(v); return ok },
	}
	for _, e := range m.Entries() {
		key := fmt.Sprint(e.Key)
		set, known := fields[key]
		switch {
		case !known:
			s.r.fail("backup-copy", s.r.at(path), "remove it, or correct its name", "%s: a place has no %q", name, key)
		case e.Value != nil && !set(e.Value):
			s.r.fail("backup-copy", s.r.at(path), "write what docs/backup.md says", "%s: %s has another type", name, key)
		}
	}
	return BackupCopy{URL: c.URL, Keep: c.Keep, Target: c}
}

// checkCopies asks the one who copies what is wrong with each place.
func (r *reader) checkCopies() {
	var seen []string
	for i, c := range r.in.Backups.Copies {
		pos := r.at(fmt.Sprintf("backups.copies[%d]", i))
		if err := c.Target.Check(); err != nil {
			for _, one := range unjoin(err) {
				r.fail("backup-copy", pos, "correct entry "+fmt.Sprint(i+1)+" of cluster_api_backups_copies", "entry %d of cluster_api_backups_copies: %v", i+1, one)
			}
		}
		if slices.Contains(seen, c.URL) {
			r.fail("backup-copy", pos, "remove one of them", "cluster_api_backups_copies names the place of entry %d twice", i+1)
		}
		seen = append(seen, c.URL)
	}
}
