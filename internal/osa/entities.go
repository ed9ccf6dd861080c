package osa

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The directories of groups' and of hosts' variables.
const (
	GroupVarsDir = "group_vars"
	HostVarsDir  = "host_vars"
)

// Entity is a group or a host that an operator's directory has variables for: one entry of group_vars or host_vars.
type Entity struct {
	Kind, Name, Path string // Kind is the directory
	// Shadowed says that Ansible takes another entry of that name, Stray that it is a file whose ending is none of
	// variables: Ansible takes it for nothing.
	Shadowed, Stray bool
}

// endings are those of a group's or a host's files, in the order in which Ansible looks for them.
func endings() []string { return []string{"", ".yml", ".yaml", ".json"} }

// Entities lists them, whether there is such a group or host or not.
func Entities(dir string) []Entity {
	var out []Entity
	for _, kind := range []string{GroupVarsDir, HostVarsDir} {
		entries, _ := os.ReadDir(filepath.Join(dir, kind)) // there may be none; who needs one of them tells what is wrong
		for _, entry := range entries {
			name := entry.Name()
			if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
				continue
			}
			e := Entity{Kind: kind, Name: name, Path: filepath.Join(dir, kind, name)}
			ending := filepath.Ext(name)
			if slices.Contains(endings(), ending) {
				e.Name = strings.TrimSuffix(name, ending)
			} else if info, err := os.Stat(e.Path); err != nil || !info.IsDir() {
				e.Stray = true
			}
			chosen, _, err := chooseEntity(filepath.Join(dir, kind), e.Name)
			e.Shadowed = err == nil && chosen != "" && chosen != e.Path
			out = append(out, e)
		}
	}
	return out
}

// chooseEntity is the entry of a group or a host that Ansible takes, "" if there is none.
func chooseEntity(dir, entity string) (path string, info os.FileInfo, err error) {
	for _, ending := range endings() {
		path := filepath.Join(dir, entity+ending)
		info, err := os.Stat(path)
		if notThere(err) {
			continue
		}
		return path, info, err
	}
	return "", nil, nil
}

// notThere says that there is nothing at a path, as Python's os.path.exists has it: no such name, a link that leads
// nowhere or in a circle, something below a file.
func notThere(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR)
}

// Unreadable finds all files of variables in an operator's directory that cannot be read, so that they are told at
// once, and not one after the other as hosts need them: those that count for every host, and those of groups and hosts
// that reads says yes to. A file of theirs that is encrypted with another password is one only if it has to open.
func Unreadable(dir string, passwords []VaultPassword, reads func(e Entity) (read, open bool)) Findings {
	v := &Variables{opts: VarsOptions{Passwords: passwords}, files: map[string]*varsFile{}}
	var wrong Findings
	names, err := userFiles(dir)
	if err != nil {
		wrong.unreadable(dir, err)
	}
	for _, name := range names {
		wrong = append(wrong, v.read(name).wrong...)
	}
	for _, e := range Entities(dir) {
		read, open := reads(e)
		if e.Shadowed || !read {
			continue
		}
		names, err := entityFiles(filepath.Join(dir, e.Kind), e.Name)
		if err != nil {
			wrong.unreadable(e.Path, err)
		}
		for _, name := range names {
			for _, one := range v.read(name).wrong {
				if one.Code != codeVault || open {
					wrong = append(wrong, one)
				}
			}
		}
	}
	return wrong
}
