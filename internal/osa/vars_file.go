package osa

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// varsFile is one file of variables, read once.
type varsFile struct {
	vars   *Map
	secret bool
	err    error
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
	f.err = v.load(path, f)
	return f
}

func (v *Variables) load(path string, f *varsFile) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (run as a user who may read it: its values are part of what is asked for)", err)
	}
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	if IsVault(text) {
		f.secret = true
		if text, err = OpenVault(text, v.opts.Passwords); err != nil {
			return fmt.Errorf("%s %w", path, err)
		}
	}
	value, found := ReadYAML(path, text, YAMLOptions{LibYAML: true, KeepTags: []string{"!vault", "!vault-encrypted", "!unsafe"}})
	if err := found.Err(); err != nil {
		if f.secret {
			return hideText(path, found)
		}
		return fmt.Errorf("read variables: %w", err)
	}
	for _, one := range found {
		if !f.secret || one.Code == "duplicate-key" { // which names the key only
			v.Findings = append(v.Findings, one)
		}
	}
	switch value := value.(type) {
	case nil:
	case *Map:
		f.vars = value
	default:
		return fmt.Errorf("%s: variables must be a mapping of names to values", path)
	}
	return nil
}

// hideText says where a secret file is broken, but not how: parsers quote what they read.
func hideText(path string, found Findings) error {
	for _, f := range found {
		if f.Severity == Error {
			return fmt.Errorf("%s: cannot be read as YAML (what the parser says is hidden, it may quote secrets)", f.Pos)
		}
	}
	return fmt.Errorf("%s: cannot be read as YAML", path)
}

// problems gathers errors, so that an operator sees all of them at once.
type problems struct{ all []error }

func (p *problems) add(err error) {
	if err != nil {
		p.all = append(p.all, err)
	}
}

func (p *problems) err() error { return errors.Join(p.all...) }
