package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Sign signs a complete bundle: its list, which has the digest of everything else, and the list of its catalogue, which
// servers read without the rest. All of it is read first: who signs says that this is it. A catalogue that was made
// without a bundle is signed as well.
func Sign(dir string, key sign.Key) error {
	if exists(filepath.Join(dir, addon.CatalogueFile)) {
		return signCatalogueAlone(dir, key)
	}
	b, err := Open(dir, sign.Trust{})
	if err != nil {
		return err
	}
	if err := b.Verify(nil); err != nil {
		return fmt.Errorf("%s is not signed, because it is damaged: %w", dir, err)
	}
	return signBundle(dir, b.text, b.Index.LockDigest, key)
}

func signBundle(dir string, index []byte, lockDigest string, key sign.Key) error {
	comment := "jeroboam bundle of lock " + lockDigest
	if err := signCatalogue(filepath.Join(dir, "files", addonDir), comment, key); err != nil {
		return err
	}
	return writeSignature(filepath.Join(dir, indexFile), index, comment, key)
}

func signCatalogueAlone(dir string, key sign.Key) error {
	if _, err := addon.Load(os.DirFS(dir)); err != nil {
		return fmt.Errorf("%s is not signed, because it is damaged: %w", dir, err)
	}
	return signCatalogue(dir, "jeroboam catalogue of addons", key)
}

func signCatalogue(dir, comment string, key sign.Key) error {
	file := filepath.Join(dir, addon.CatalogueFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a bundle without workload clusters' addons
	}
	if err != nil {
		return err
	}
	return writeSignature(file, text, comment, key)
}

func writeSignature(file string, text []byte, comment string, key sign.Key) error {
	signature, err := key.Sign(text, comment)
	if err != nil {
		return fmt.Errorf("sign %s: %w", file, err)
	}
	return whole.Write(file+sign.Suffix, signature, 0o644)
}

// unsign removes signatures of what is about to change.
func (b *builder) unsign() error {
	var problems []error
	for _, file := range []string{filepath.Join(b.Dir, indexFile), b.files(addonDir, addon.CatalogueFile)} {
		if err := os.Remove(file + sign.Suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// strangers are files that the list does not name. A server of files would hand them out beside those that were
// checked.
func (b *Bundle) strangers() []error {
	var problems []error
	top := filepath.Join(b.Dir, "files")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(top, path)
		rel = filepath.ToSlash(rel)
		known := rel == addonDir+"/"+addon.CatalogueFile+sign.Suffix ||
			slices.ContainsFunc(b.Index.Files, func(f IndexFile) bool { return f.Path == rel })
		switch {
		case err != nil:
			return err
		case !known:
			problems = append(problems, fmt.Errorf("files/%s is not in the list", rel))
		case !d.Type().IsRegular():
			problems = append(problems, fmt.Errorf("files/%s is no file, but %s", rel, d.Type()))
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, err)
	}
	return problems
}
