package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/jeroboam-cloud/jeroboam/internal/sign/signtest"
)

func catalogueFiles(text, digest string) fstest.MapFS {
	if digest == "" {
		sum := sha256.Sum256([]byte(text))
		digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	return fstest.MapFS{
		"m.yaml":         {Data: []byte(text)},
		"catalogue.yaml": {Data: fmt.Appendf(nil, "version: 1\naddons:\n- {name: metrics-server, version: v1.0.0, kubernetes: '>=1.30.0-0', file: m.yaml, digest: %q}\n", digest)},
	}
}

// swapped is a directory whose whole content changes at once, while others read.
type swapped struct{ now atomic.Pointer[fstest.MapFS] }

func (s *swapped) Open(name string) (fs.File, error) { return s.now.Load().Open(name) }

// A newer catalogue is taken without a restart; one that is wrong, or the same, changes nothing.
func TestTheCatalogueIsReadAgain(t *testing.T) {
	const one, two = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}", "{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}"
	first := catalogueFiles(one, "")
	files := &swapped{}
	files.now.Store(&first)
	reload := make(chan os.Signal)
	s := &serving{ServeOptions: ServeOptions{Addons: files, Reload: reload, Log: slog.New(slog.DiscardHandler)}, newTerms: make(chan struct{}, 1)}
	if err := s.readAddons(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.reloadAddons(ctx) }()
	for _, is := range []struct {
		reason string
		files  fstest.MapFS
		anew   bool
	}{
		{"the same", catalogueFiles(one, ""), false},
		{"a digest that does not match", catalogueFiles(two, "sha256:00"), false},
		{"a newer one", catalogueFiles(two, ""), true},
	} {
		before := s.catalogue.Load().Digest
		files.now.Store(&is.files)
		reload <- syscall.SIGHUP
		reload <- syscall.SIGHUP // is taken when the one before has been dealt with
		anew := false
		select {
		case <-s.newTerms:
			anew = true
		default:
		}
		if anew != is.anew || (s.catalogue.Load().Digest != before) != is.anew {
			t.Errorf("%s: a new term %t, another catalogue %t", is.reason, anew, s.catalogue.Load().Digest != before)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestASignedCatalogue: where a key is named, neither the first catalogue nor a newer one is taken without its
// signature.
func TestASignedCatalogue(t *testing.T) {
	key, trust := signtest.NewKey(t)
	files := catalogueFiles("{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}", "")
	s := &serving{ServeOptions: ServeOptions{Addons: files, AddonTrust: trust, Log: slog.New(slog.DiscardHandler)}}
	if err := s.readAddons(t.Context()); err == nil || !strings.Contains(err.Error(), "catalogue.yaml is not signed") {
		t.Errorf("not signed: %v", err)
	}
	signature, err := key.Sign(files["catalogue.yaml"].Data, "c")
	if err != nil {
		t.Fatal(err)
	}
	files["catalogue.yaml.minisig"] = &fstest.MapFile{Data: signature}
	if err := s.readAddons(t.Context()); err != nil || s.catalogue.Load() == nil {
		t.Errorf("signed: %v", err)
	}
	other := catalogueFiles("{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}", "") // list and file fit each other
	other["catalogue.yaml.minisig"] = files["catalogue.yaml.minisig"]
	s.Addons = other
	before := s.catalogue.Load()
	if err := s.readAddons(t.Context()); err == nil || !strings.Contains(err.Error(), "was changed after it was signed") || s.catalogue.Load() != before {
		t.Errorf("changed: %v", err)
	}
}
