package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Pull fetches an image by its digest, for one platform ("linux/amd64"); the digest may be that of an index over
// platforms. Credentials are those of the user's container tools (~/.docker/config.json). Layers are fetched, and
// checked against their digests, when the image is stored.
func Pull(ctx context.Context, transport http.RoundTripper, reference, digest, platform string) (v1.Image, error) {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(tag.Digest(digest), remote.WithContext(ctx), remote.WithTransport(transport),
		remote.WithPlatform(*p), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("pull %s@%s: %w", reference, digest, err)
	}
	return img, nil
}

// DigestOf asks a registry what a tag stands for now: an image, or an index over platforms.
func DigestOf(ctx context.Context, transport http.RoundTripper, reference string) (string, error) {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return "", err
	}
	got, err := remote.Get(tag, remote.WithContext(ctx), remote.WithTransport(transport), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", reference, err)
	}
	return got.Digest.String(), nil // of the manifest that came, not what a header says of it
}

// Signature is one that cosign has put beside an image.
type Signature struct {
	Payload                []byte // what is signed
	Signature, Certificate string // base64, PEM
}

// SignaturesOf asks a registry for the signatures of what has this digest. Cosign keeps them as layers of an image with
// a tag made from the digest (cosign's specs/SIGNATURE_SPEC.md); no such tag is no signature.
func SignaturesOf(ctx context.Context, transport http.RoundTripper, reference, digest string) ([]Signature, error) {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	at := tag.Tag(strings.Replace(digest, ":", "-", 1) + ".sig")
	fail := func(err error) ([]Signature, error) {
		return nil, fmt.Errorf("signatures of %s: %w", reference, err)
	}
	img, err := remote.Image(at, remote.WithContext(ctx), remote.WithTransport(transport), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	var answer *ggcr.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return fail(err)
	}
	var out []Signature
	for _, layer := range manifest.Layers[:min(len(manifest.Layers), maxSignatures)] {
		payload, err := smallBlob(img, layer)
		if err != nil {
			return fail(err)
		}
		out = append(out, Signature{payload, layer.Annotations["dev.cosignproject.cosign/signature"], layer.Annotations["dev.sigstore.cosign/certificate"]})
	}
	return out, nil
}

const (
	maxSignatures = 20       // that are looked at of one image
	maxPayload    = 64 << 10 // of what is signed, in bytes; cosign writes some three hundred
)

func smallBlob(img v1.Image, of v1.Descriptor) (content []byte, err error) {
	if of.Size > maxPayload {
		return nil, fmt.Errorf("%s has %d bytes, and what is signed has a few hundred", of.Digest, of.Size)
	}
	layer, err := img.LayerByDigest(of.Digest)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed() // as it lies there: the name is of the media type, nothing is compressed
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read; the digest is checked at its end
	return io.ReadAll(io.LimitReader(r, maxPayload))
}
