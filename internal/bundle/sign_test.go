package bundle_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
	"github.com/jeroboam-cloud/jeroboam/internal/sign/signtest"
)

// TestConsistentlyChangedBundle is somebody who knows how bundles work: file, digest and size in the list fit each
// other again.
func TestConsistentlyChangedBundle(t *testing.T) {
	s := newWorkshop(t, "")
	key, trust := signtest.NewKey(t)
	signed := func(o *bundle.Options) { o.Record, o.Key = true, key }
	if _, err := s.build(t, "a", "cache", signed); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.dir, "a")
	b, err := bundle.Open(dir, trust)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(nil); err != nil {
		t.Fatal(err)
	}
	before := s.read(t, filepath.Join(dir, "bundle.json"))
	const evil = "kind: Evil\n"
	entry := b.Index.Files[len(b.Index.Files)-1]
	s.mustWrite(t, filepath.Join(dir, "files", entry.Path), evil)
	list := strings.Replace(before, entry.Digest, digestOf(evil), 1)
	s.mustWrite(t, filepath.Join(dir, "bundle.json"), list)
	unasked, err := bundle.Open(dir, sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unasked.Verify(nil); err != nil {
		t.Fatalf("the change is not as consistent as this test wants it: %v", err)
	}
	_, err = bundle.Open(dir, trust)
	if err == nil || !strings.Contains(err.Error(), "bundle.json was changed after it was signed") {
		t.Errorf("a bundle of which all was changed: %v", err)
	}
	// Its signature taken away is no way around it, and neither is the signature of a bundle from before.
	old := s.read(t, filepath.Join(dir, "bundle.json.minisig"))
	if err := os.Remove(filepath.Join(dir, "bundle.json.minisig")); err != nil {
		t.Fatal(err)
	}
	if _, err = bundle.Open(dir, trust); err == nil || !strings.Contains(err.Error(), "is not signed") {
		t.Errorf("without its signature: %v", err)
	}
	s.mustWrite(t, filepath.Join(dir, "bundle.json"), before)
	s.mustWrite(t, filepath.Join(dir, "bundle.json.minisig"), old)
	if b, err = bundle.Open(dir, trust); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(entry); err == nil || !strings.Contains(err.Error(), "must have digest "+entry.Digest) {
		t.Errorf("one file is not what the signed list says: %v", err)
	}
	// A build takes the signature of before away with the list.
	if _, err := s.build(t, "a", "cache", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bundle.json.minisig")); !os.IsNotExist(err) {
		t.Errorf("an old signature stays beside a new list: %v", err)
	}
	if err := bundle.Sign(dir, *key); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(dir, trust); err != nil {
		t.Error(err)
	}
}

// TestStrangersInABundle is what a server of files and images would hand out beside what was signed.
func TestStrangersInABundle(t *testing.T) {
	s := newWorkshop(t, "")
	key, trust := signtest.NewKey(t)
	if _, err := s.build(t, "a", "cache", func(o *bundle.Options) { o.Record, o.Key = true, key }); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.dir, "a")
	s.mustWrite(t, filepath.Join(dir, "files", "bin", "kubelet"), "evil")
	if err := os.Symlink("/etc/shadow", filepath.Join(dir, "files", "bin", "shadow")); err != nil {
		t.Fatal(err)
	}
	layout, err := registry.Open(filepath.Join(dir, "oci"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"registry.k8s.io/pause:v1.0.0", "registry.k8s.io/stranger:v1"} { // one in the place of another, one more
		if err := layout.Put(ref, empty.Image); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bundle.Open(dir, trust)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Verify(nil)
	for _, want := range []string{
		"files/bin/kubelet is not in the list", "files/bin/shadow is not in the list", "image registry.k8s.io/stranger:v1 with digest",
		"image registry.k8s.io/pause:v1.0.0 with digest", "image hello: registry.k8s.io/pause:v1.0.0 with digest",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in:\n%v", want, err)
		}
	}
	if err := bundle.Sign(dir, *key); err == nil || !strings.Contains(err.Error(), "is not signed, because it is damaged") {
		t.Errorf("a damaged bundle must not be signed: %v", err)
	}
}
