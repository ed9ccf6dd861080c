package bundle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// BuildProgram builds one of the lock's programs from source and copies it to a file. What it builds is in the cache
// that bundles are built from, so neither has to be built twice. Of the options it needs LockFile, Cache, Jobs and
// AnyHost.
func BuildProgram(ctx context.Context, o Options, name, output string) (how string, err error) {
	o.FromSource = true
	b := &builder{Options: o, digests: map[string]string{}}
	if b.lock, err = ReadLock(o.LockFile); err != nil {
		return "", err
	}
	prog := b.lock.program(name)
	if prog == nil {
		var names []string
		for _, p := range b.lock.Programs {
			names = append(names, p.Name)
		}
		return "", fmt.Errorf("%s has no program %q; it has %s", o.LockFile, name, strings.Join(names, ", "))
	}
	if prog.native() { // only C code depends on this host's packages
		if err := b.checkHost(ctx); err != nil {
			return "", err
		}
	}
	for _, dir := range []string{filepath.Join(b.Cache, "programs"), filepath.Join(b.Cache, "modules"), filepath.Dir(output)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	file, how, err := b.make(ctx, name)
	if err != nil {
		return "", err
	}
	return how, copyFile(file, output, 0o755)
}
