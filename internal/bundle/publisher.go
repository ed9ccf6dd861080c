package bundle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/publisher"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// checkPublishers looks at publishers; what names them is checked with each artefact.
func (p *parser) checkPublishers(l *Lock, used map[string]bool) {
	for i, pub := range l.Publishers {
		p.match(reName, pub.Name, "a publisher needs a name of lower case letters, digits and dashes", "publishers", i, "name")
		p.hasModule(l, pub.Module, used, "publishers", i, "module")
		if m := l.module(pub.Module); m != nil && m.Sum == "" {
			p.problem(p.at("publishers", i, "module"), "the module %s has no sum in the lock, and %s is to be known by a file of it", pub.Module, pub.Name)
		}
		p.inside(pub.File, "publishers", i, "file")
		if (pub.Identity == "") != (pub.Issuer == "") {
			p.problem(p.at("publishers", i), "%s needs both identity and issuer (sigstore), or neither (OpenPGP)", pub.Name)
		}
		if !used["publisher "+pub.Name] {
			p.problem(p.at("publishers", i), "nothing is signed by %s", pub.Name)
		}
	}
}

// trust is what signatures of the lock's publishers are held against.
type trust struct {
	client   *http.Client
	now      time.Time
	keyrings map[string]*publisher.Keyring
	sigstore map[string]*publisher.Sigstore
}

// trust reads the publishers' files from their modules.
func (l *Lock) trust(ctx context.Context, o UpdateOptions) (*trust, error) {
	t := &trust{client: o.HTTP, now: o.Now(), keyrings: map[string]*publisher.Keyring{}, sigstore: map[string]*publisher.Sigstore{}}
	b := &builder{Options: Options{Cache: o.Cache}, lock: l, digests: map[string]string{}}
	var problems []error
	for _, p := range l.Publishers {
		dir, err := b.sources(ctx, l.module(p.Module))
		if err == nil {
			err = t.read(p, filepath.Join(dir, filepath.FromSlash(p.File)))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("publisher %s: %w", p.Name, err))
		}
	}
	return t, errors.Join(problems...)
}

func (t *trust) read(p Publisher, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if p.Identity == "" {
		t.keyrings[p.Name], err = publisher.ReadKeyring(text)
	} else {
		t.sigstore[p.Name], err = publisher.ReadTrustedRoot(text, p.Identity, p.Issuer)
	}
	return err
}

// digestOf asks a publisher what he has published in a place, and for his signature where the lock wants one.
func (t *trust) digestOf(ctx context.Context, p publication) (string, error) {
	if p.reference == "" {
		return t.digestOfFile(ctx, p)
	}
	digest, err := registry.DigestOf(ctx, t.client.Transport, p.reference)
	if err == nil && p.signedBy != "" {
		err = t.signedImage(ctx, p, digest)
	}
	if err != nil {
		return "", err
	}
	return digest, nil
}

func (t *trust) digestOfFile(ctx context.Context, p publication) (string, error) {
	text, err := fetchText(ctx, t.client, p.checksums)
	if err != nil {
		return "", fmt.Errorf("the sum of %s: %w", p.url, err)
	}
	if keyring := t.keyrings[p.signedBy]; keyring != nil {
		signed, err := keyring.Open([]byte(text), t.now)
		if err != nil {
			return "", fmt.Errorf("the sum of %s: %s: %w", p.url, p.checksums, unsigned(p, err))
		}
		text = string(signed)
	}
	digest, err := sumIn(text, filepath.Base(p.url))
	if err != nil {
		return "", fmt.Errorf("the sum of %s: %s: %w", p.url, p.checksums, err)
	}
	if s := t.sigstore[p.signedBy]; s != nil {
		if err := t.signedFile(ctx, s, p.url, digest); err != nil {
			return "", fmt.Errorf("the signature of %s: %w", p.url, unsigned(p, err))
		}
	}
	return "sha256:" + digest, nil
}

// signedFile: Kubernetes has a file's signature and certificate beside it, with .sig and .cert after its name
// (https://kubernetes.io/docs/tasks/administer-cluster/verify-signed-artifacts/).
func (t *trust) signedFile(ctx context.Context, s *publisher.Sigstore, url, sum string) error {
	digest, err := hex.DecodeString(sum)
	if err != nil {
		return err
	}
	signature, err := fetchText(ctx, t.client, url+".sig")
	if err != nil {
		return err
	}
	certificate, err := fetchText(ctx, t.client, url+".cert")
	if err != nil {
		return err
	}
	return s.Verify(digest, signature, certificate)
}

// signedImage wants one signature that holds; others may have signed as well.
func (t *trust) signedImage(ctx context.Context, p publication, digest string) error {
	signatures, err := registry.SignaturesOf(ctx, t.client.Transport, p.reference, digest)
	if err != nil {
		return unsigned(p, err)
	}
	wrong := []error{errors.New("it has none")}
	for _, s := range signatures {
		err := t.sigstore[p.signedBy].VerifyImage(digest, s.Payload, s.Signature, s.Certificate)
		if err == nil {
			return nil
		}
		wrong = append(wrong, err)
	}
	if len(wrong) > 1 {
		wrong = wrong[1:]
	}
	return fmt.Errorf("the signature of %s: %w", p.reference, unsigned(p, errors.Join(wrong...)))
}

// unsigned says what to do about a signature that is missing or does not hold.
func unsigned(p publication, err error) error {
	return fmt.Errorf("%w (%s is to have signed it: find out why; without signedBy in the lock the digest is taken as it is)", err, p.signedBy)
}

// lacksSigner tells what is wrong with the signer that an artefact names.
func (l *Lock) lacksSigner(a Artefact, image bool) string {
	p := l.publisher(a.SignedBy)
	switch {
	case p == nil:
		return "there is no publisher " + a.SignedBy
	case a.URL == "":
		return "it is signed by " + a.SignedBy + " and has no url"
	case image && p.Identity == "":
		return "images are signed with sigstore, and " + a.SignedBy + " has no identity"
	case image != strings.HasPrefix(a.URL, "docker:"):
		return "what is signed must be at its url: " + a.URL
	}
	return ""
}
