package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// sourceFiles are a module's files as files of an image. A module has no modes: what is executed has to be named.
func (b *builder) sourceFiles(ctx context.Context, s Source) ([]registry.File, error) {
	src, err := b.sources(ctx, b.lock.module(s.Module))
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o644)
	if s.Script {
		mode = 0o755
	}
	top := filepath.Join(src, filepath.FromSlash(s.From))
	var files []registry.File
	err = filepath.WalkDir(top, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case slices.Contains(s.Except, rel) && d.IsDir():
			return fs.SkipDir
		case slices.Contains(s.Except, rel), d.IsDir():
			return nil
		}
		files = append(files, registry.File{Path: path.Join(s.To, rel), Source: at, Mode: mode})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("files of module %s: %w", s.Module, err)
	}
	for _, except := range s.Except {
		if _, err := os.Lstat(filepath.Join(top, filepath.FromSlash(except))); err != nil {
			return nil, fmt.Errorf("files of module %s: %s is to be left out of %s, and is not there", s.Module, except, strings.TrimSuffix(s.From, "/"))
		}
	}
	if len(files) == 0 {
		return nil, errors.New("files of module " + s.Module + ": there are none in " + s.From)
	}
	return files, nil
}
