package osa

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	text, err := ReadFile(path)
	if err != nil {
		wrong.unreadable(path, err)
		return wrong
	}
	if IsVault(text) {
		f.secret = true
		if text, err = OpenVault(text, v.opts.Passwords); err != nil {
			wrong.refuse(codeVault, Pos{File: path}, "", "%v", err)
			return wrong
		}
	}
	if value, err := ReadJSON(path, text); err == nil && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		f.vars, _ = value.(*Map) // Ansible's loader tries JSON first, whatever the file is called, and YAML has other escapes
		return nil
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
		if !Truth(value) {
			break // Ansible takes it as empty; LoadVars warns where that is too little
		}
		wrong.refuse("yaml-top", Pos{File: path, Line: 1}, "write keys and values", "variables must be a mapping of names to values")
	}
	return wrong
}

// The codes of files that are encrypted and cannot be opened, and of those that cannot be read for another reason.
const (
	codeVault = "vault"
	codeFile  = "file"
)

// ReadFile reads a file of the operator's. One that is no file, such as a named pipe, could be waited for without end,
// and is refused; the null device is an empty one, as for whoever masks a file with it.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // what the operator names
	if errors.Is(err, syscall.ENXIO) {                             // a socket
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNoFile}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return nil, nil
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNoFile}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("it is larger than %d MiB", maxFileBytes>>20)
	}
	return text, err
}

// maxFileBytes bounds what is read of any file: what people write, and inventories of thousands of hosts, is far below.
const maxFileBytes = 128 << 20

// errNoFile says that what should be a file is a directory, a pipe or a device.
var errNoFile = errors.New("it is no regular file")

// unreadable refuses a file that cannot be read.
func (fs *Findings) unreadable(path string, err error) {
	fix := ""
	switch {
	case errors.Is(err, os.ErrPermission):
		fix = "run as a user who may read it"
	case errors.Is(err, os.ErrNotExist):
		fix = "put back what the link leads to, or remove it"
	case errors.Is(err, errNoFile):
		fix = "put a file there, or remove it"
	}
	if at := (*os.PathError)(nil); errors.As(err, &at) {
		err = at.Err // the place is said already
	}
	fs.refuse(codeFile, Pos{File: path}, fix, "cannot be read: %v", err)
}

// problems gathers errors, so that an operator sees all of them at once.
type problems struct{ all []error }

func (p *problems) add(err error) {
	if err != nil {
		p.all = append(p.all, err)
	}
}

func (p *problems) err() error { return errors.Join(p.all...) }
