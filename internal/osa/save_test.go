package osa_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

func members(t *testing.T, archive string) (names, texts []string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read from
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names, texts = append(names, h.Name), append(texts, string(b))
	}
}

// Twenty versions later the archive has the sixteen newest before the last, under the original's names.
func TestSaveKeepsOldInventories(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for i := range 20 {
		if err := osa.Save(dir, fmt.Appendf(nil, "version %d", i), now.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	names, texts := members(t, filepath.Join(dir, "backup_openstack_inventory.tar"))
	if len(names) != 16 || names[15] != "openstack_inventory.json-20260102_030419.json" || texts[15] != "version 18" || texts[0] != "version 3" {
		t.Errorf("archive: %q %q", names, texts)
	}
	if b, err := os.ReadFile(filepath.Join(dir, osa.InventoryFile)); err != nil || string(b) != "version 19" {
		t.Errorf("inventory: %q, %v", b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSaveKeepsModeAndLink(t *testing.T) {
	dir, real := t.TempDir(), t.TempDir()
	path := filepath.Join(real, "inventory.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(dir, osa.InventoryFile)); err != nil {
		t.Fatal(err)
	}
	if err := osa.Save(dir, []byte("new"), time.Now()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(dir, osa.InventoryFile))
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info, err)
	}
}

// A broken archive is not thrown away, and without a backup nothing is written.
func TestSaveRefusesBrokenArchive(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{osa.InventoryFile: "old", "backup_openstack_inventory.tar": "no tar at all, and longer than nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := osa.Save(dir, []byte("new"), time.Now()); err == nil {
		t.Error("written")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, osa.InventoryFile)); string(b) != "old" {
		t.Errorf("inventory: %q", b)
	}
}

// Eight runs at once on an empty inventory make one set of containers, not eight.
func TestConcurrentRuns(t *testing.T) {
	opts := operator(t, edit())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			lock, err := osa.LockDir(t.Context(), opts.Config)
			if err != nil {
				t.Error(err)
				return
			}
			defer lock.Release()
			src, err := osa.Load(opts)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := osa.Generate(src, osa.NewDraw())
			if err != nil {
				t.Error(err)
				return
			}
			text, err := osa.WriteJSON(res.Inventory.Root())
			if err != nil {
				t.Error(err)
				return
			}
			if res.Changed {
				if err := osa.Save(src.Dir, text, time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, res, err := generate(t, opts, osa.NewDraw())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.Inventory.Members("galera_container")); n != 1 || res.Changed {
		t.Errorf("%d galera containers, changed %v", n, res.Changed)
	}
	if _, err := os.Stat(filepath.Join(opts.Config, "backup_openstack_inventory.tar")); err == nil {
		t.Error("a second run wrote as well")
	}
}

func TestLockCanBeGivenUp(t *testing.T) {
	dir := t.TempDir()
	lock, err := osa.LockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := osa.LockDir(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
