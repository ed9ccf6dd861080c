package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
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
