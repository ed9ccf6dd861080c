package intent

import (
	"fmt"
	"slices"

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

func (s *scope) copy(path, name string, m *osa.Map) BackupCopy {
	var c offsite.Target
	const known = "url and keep; access_key, secret_key, region, ca and insecure for S3; private_key and host_key for SFTP"
	s.settings(path, name, "backup-copy", known, m, map[string]setting{
		"url": ofText(&c.URL), "access_key": ofText(&c.AccessKey), "secret_key": s.ofSecret(&c.SecretKey), "region": ofText(&c.Region),
		"ca": ofText(&c.CA), "private_key": s.ofSecret(&c.PrivateKey), "host_key": ofText(&c.HostKey),
		"insecure": func(v osa.Value) (ok bool) { c.Insecure, ok = asBool(v); return ok },
		"keep":     func(v osa.Value) (ok bool) { c.Keep, ok = asInt(v); return ok },
	})
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
