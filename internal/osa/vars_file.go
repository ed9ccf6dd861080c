package osa

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// varsFile is one file of variables, read once.
type varsFile struct {
	vars   *Map
	secret bool
	wrong  Findings // what keeps it from being read
}

// err is what keeps the file from being read.
func (f *varsFile) err() error {
	lines := make([]error, 0, len(f.wrong))
	for _, one := range f.wrong {
		lines = append(lines, fmt.Errorf("read variables: %s", one))
	}
	return errors.Join(lines...)
}

// SecretTag is the tag under which evaluated values carry what must not be shown.
const SecretTag = "!secret"

// secretFile says whether a file's values are masked: user_secrets.yml and its like.
func secretFile(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "user_secrets")
}

func (v *Variables) read(path string) *varsFile {
	if f, ok := v.files[path]; ok {
		return f
	}
	f := &varsFile{secret: secretFile(path)}
	v.files[path] = f
	f.wrong = v.load(path, f)
	return f
}

// load reads one file. What it finds wrong is among the findings of the variables, but for what keeps the file from
// being read: that it returns.
func (v *Variables) load(path string, f *varsFile) (wrong Findings) {
	text, err := readRegular(path)
	if err != nil {
		wrong.refuse("variables-file", Pos{File: path}, "its values are part of what is asked for: run as a user who may read it", "%v", err)
		return wrong
	}
	if IsVault(text) {
		f.secret = true
		if text, err = OpenVault(text, v.opts.Passwords); err != nil {
			wrong.refuse(codeVault, Pos{File: path}, "", "%v", err)
			return wrong
		}
	}
	value, found := ReadYAML(path, text, YAMLOptions{LibYAML: true, KeepTags: []string{"!vault", "!vault-encrypted", "!unsafe"}})
	for _, one := range found {
		switch {
		case one.Severity == Error && f.secret: // parsers quote what they read
			wrong.refuse(one.Code, one.Pos, "", "cannot be read as YAML (what the parser says is hidden, it may quote secrets)")
		case one.Severity == Error:
			wrong = append(wrong, one)
		case !f.secret || one.Code == "duplicate-key": // which names the key only
			v.Findings = append(v.Findings, one)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	switch value := value.(type) {
	case nil:
	case *Map:
		f.vars = value
	default:
		wrong.refuse("yaml-top", Pos{File: path, Line: 1}, "write keys and values", "variables must be a mapping of names to values")
	}
	return wrong
}

// codeVault is the code of a file that is encrypted, and cannot be opened.
const codeVault = "vault"

// Unreadable finds all files of variables in an operator's directory that cannot be read, so that they are told at
// once, and not one after the other as hosts need them. Files of groups and hosts that are encrypted with another
// password are no error before a host needs them.
func Unreadable(dir string, passwords []VaultPassword) Findings {
	v := &Variables{opts: VarsOptions{Passwords: passwords}, files: map[string]*varsFile{}}
	names, err := userFiles(dir)
	var wrong Findings
	if err != nil {
		wrong.refuse("variables-file", Pos{File: dir}, "", "%v", err)
	}
	for _, name := range names {
		wrong = append(wrong, v.read(name).wrong...)
	}
	for _, kind := range []string{"group_vars", "host_vars"} {
		names, _ := directoryFiles(filepath.Join(dir, kind), 0) // a directory that cannot be read is told by whoever needs it
		for _, name := range names {
			wrong = append(wrong, slices.DeleteFunc(slices.Clone(v.read(name).wrong), func(f Finding) bool { return f.Code == codeVault })...)
		}
	}
	return wrong
}

// readRegular reads a file. One that is no file, such as a named pipe, could be waited for without end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")}
	}
	return os.ReadFile(path) //nolint:gosec // what the operator names
}

// problems gathers errors, so that an operator sees all of them at once.
type problems struct{ all []error }

func (p *problems) add(err error) {
	if err != nil {
		p.all = append(p.all, err)
	}
}

func (p *problems) err() error { return errors.Join(p.all...) }
