package bundle_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/publisher"
	"github.com/jeroboam-cloud/jeroboam/internal/publisher/publishertest"
)

const (
	releases = "releases@example.test"
	accounts = "https://accounts.example.test"
)

// signers are those who sign what onlineWorkshop's publisher has.
type signers struct {
	authority, stranger *publishertest.Authority
	key                 *publishertest.Signer
}

// signedWorkshop is a lock that wants all signed, and the module by which it knows who signs.
func signedWorkshop(t *testing.T, p *publishing) (*workshop, signers) {
	t.Helper()
	by := signers{publishertest.NewAuthority(t), publishertest.NewAuthority(t), publishertest.NewSigner(t, time.Now(), 0)}
	modules := proxy(t)
	publish(t, modules, "trust", map[string]string{
		"go.mod": "module example.test/trust\n", "root.json": string(by.authority.TrustedRoot(t, time.Now().Add(-20*time.Hour), time.Time{})),
		"keys": string(by.key.Public(t)),
	})
	sum, err := dirhash.HashZip(filepath.Join(modules, "example.test/trust/@v/v1.0.0.zip"), dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	newWorkshop(t, "") // keeps the user's caches out
	t.Setenv("GOPROXY", "file://"+modules)
	s := onlineWorkshop(t, p)
	text := s.read(t, s.lock)
	for _, c := range [][2]string{
		{"files:\n", fmt.Sprintf(`modules:
  - {name: trust, path: example.test/trust, version: v1.0.0, sum: %q, private: true}
publishers:
  - {name: keyless, module: trust, file: root.json, identity: %s, issuer: %s}
  - {name: keys, module: trust, file: keys}
files:
`, sum, releases, accounts)},
		{"/release/tool\n", "/release/tool\n    signedBy: keyless\n"},
		{"/release/sha256sums\n", "/release/sha256sums\n    signedBy: keys\n"},
		{"    url: docker:", "    signedBy: keyless\n    url: docker:"},
	} {
		if !strings.Contains(text, c[0]) {
			t.Fatalf("there is no %q", c[0])
		}
		text = strings.Replace(text, c[0], c[1], 1)
	}
	s.write(t, text)
	return s, by
}

// signImage puts a signature beside an image, as cosign does.
func (p *publishing) signImage(t *testing.T, digest string, payload []byte, signature, certificate string) {
	t.Helper()
	layer := static.NewLayer(payload, "application/vnd.dev.cosign.simplesigning.v1+json")
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, Annotations: map[string]string{
		"dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/certificate": certificate,
	}})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(strings.TrimPrefix(p.URL, "https://") + "/app:" + strings.Replace(digest, ":", "-", 1) + ".sig")
	if err == nil {
		err = remote.Write(tag, img, remote.WithTransport(p.Client().Transport), remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSignedByTheirPublishers: without a signature that holds, no digest gets into the lock.
func TestSignedByTheirPublishers(t *testing.T) {
	p := newPublisher(t)
	index, _ := p.push(t, strings.TrimPrefix(p.URL, "https://")+"/app:v1")
	s, by := signedWorkshop(t, p)
	now := time.Now()
	sums := strings.TrimPrefix(digestOf("one"), "sha256:") + "  one\n"
	digest := sha256.Sum256([]byte("tool"))
	signTool := func(identity string) {
		signature, certificate := by.authority.Sign(t, identity, accounts, digest[:])
		p.files["tool.sig"], p.files["tool.cert"] = []byte(signature), []byte(base64.StdEncoding.EncodeToString([]byte(certificate)))
	}
	p.files["tool"], p.files["one"] = []byte("tool"), []byte("one")
	p.files["tool.sha256"] = []byte(strings.TrimPrefix(digestOf("tool"), "sha256:"))

	// Nobody has signed, then the wrong ones have.
	p.files["sha256sums"] = []byte(sums)
	refused := func(reason string, want ...string) {
		t.Helper()
		before := s.read(t, s.lock)
		done, err := s.update(t, p, false)
		if err == nil || done == nil || done.New != 0 || done.Signed != 0 || s.read(t, s.lock) != before {
			t.Fatalf("%s: %+v, %v", reason, done, err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in:\n%v", reason, w, err)
			}
		}
	}
	refused("nothing is signed", "tool.sig: 404", "sha256sums: it is not clear-signed", "/app:v1: it has none (keyless is to have signed it: find out why")
	signTool("somebody@example.test")
	p.files["sha256sums"] = publishertest.NewSigner(t, now, 0).Sign(t, now, sums)
	payload, signature, certificate := by.stranger.SignImage(t, releases, accounts, index)
	p.signImage(t, index, payload, signature, certificate)
	refused("signed by others", `signed by ["somebody@example.test"]`, "not one of the keyring's", "of no authority in the trusted root")
	payload, signature, certificate = by.authority.SignImage(t, releases, accounts, "sha256:0000")
	p.signImage(t, index, payload, signature, certificate)
	p.files["sha256sums"] = append([]byte(sums), by.key.Sign(t, now, strings.Repeat("0", 64)+"  other\n")...)
	refused("something else is signed", `of the image "sha256:0000"`, "it has no SHA-256 sum of one")

	signTool(releases)
	p.files["sha256sums"] = by.key.Sign(t, now, sums)
	payload, signature, certificate = by.authority.SignImage(t, releases, accounts, index)
	p.signImage(t, index, payload, signature, certificate)
	done, err := s.update(t, p, false)
	if err != nil || done.New != 3 || done.Signed != 3 || done.Places != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	// The lock names what it believes by the module's sum.
	s.write(t, strings.Replace(s.read(t, s.lock), `sum: "h1:`, `sum: "h1:AAAA`, 1))
	if _, err := s.update(t, p, false); err == nil || !strings.Contains(err.Error(), "not a sum as in go.sum") {
		t.Errorf("a sum that is none: %v", err)
	}
}

// TestLockKnowsItsPublishers: the files by which this project's lock knows who signs are in its modules, and sigstore's
// own example, a statement that a workflow of theirs has signed, holds against the trusted root, for nobody else.
func TestLockKnowsItsPublishers(t *testing.T) {
	text, err := os.ReadFile("../../bundle.lock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := bundle.ParseLock("bundle.lock.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	const workflow = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
	kinds := map[string]bool{}
	for _, p := range lock.Publishers {
		kinds[p.Name] = true
		dir := moduleOf(t, lock, p.Module)
		file, err := os.ReadFile(filepath.Join(dir, p.File))
		if err != nil {
			t.Fatal(err)
		}
		if p.Identity == "" {
			if _, err := publisher.ReadKeyring(file); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			continue
		}
		digest, signature, certificate := example(t, filepath.Join(dir, "examples/bundle-provenance.json"))
		s, err := publisher.ReadTrustedRoot(file, workflow, "https://token.actions.githubusercontent.com")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(digest, signature, certificate); err != nil {
			t.Errorf("%s: sigstore's example: %v", p.Name, err)
		}
		s.Identity, s.Issuer = p.Identity, p.Issuer
		if err := s.Verify(digest, signature, certificate); err == nil || !strings.Contains(err.Error(), "must be by "+p.Identity) {
			t.Errorf("%s takes what somebody else has signed: %v", p.Name, err)
		}
	}
	if !kinds["kubernetes"] || !kinds["runc"] {
		t.Errorf("the lock has the publishers %v", kinds)
	}
}

// moduleOf is where a module of the lock is.
func moduleOf(t *testing.T, lock *bundle.Lock, name string) string {
	t.Helper()
	for _, m := range lock.Modules {
		if m.Name != name {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", m.Path+"@"+m.Version)
		cmd.Dir = t.TempDir()
		out, err := cmd.Output()
		var got struct{ Dir, Sum, Error string }
		if err := json.Unmarshal(out, &got); err != nil || got.Dir == "" {
			t.Skipf("the module proxy does not give %s: %s %v", m.Path, got.Error, err)
		}
		if err != nil || got.Sum != m.Sum {
			t.Fatalf("%s has the sum %s, and the lock %s (%v)", m.Path, got.Sum, m.Sum, err)
		}
		return got.Dir
	}
	t.Fatalf("there is no module %s", name)
	return ""
}

// example is a bundle of sigstore's with an envelope (DSSE): what is signed is its type and text with their lengths.
func example(t *testing.T, file string) (digest []byte, signature, certificate string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Material struct {
			Chain struct {
				Certificates []struct{ RawBytes []byte }
			} `json:"x509CertificateChain"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig string }
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	e := b.Envelope
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload))
	return sum[:], e.Signatures[0].Sig, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Material.Chain.Certificates[0].RawBytes}))
}
