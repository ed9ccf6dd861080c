package offsite

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucket is one of an S3-compatible store, or what is below a prefix in it. A bucket is the store owner's to make: who
// may only write backups needs no right to make buckets.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// bucketOf takes a URL's path apart.
func bucketOf(u *url.URL) (name, prefix string) {
	name, prefix, _ = strings.Cut(strings.Trim(u.Path, "/"), "/")
	if prefix != "" {
		prefix += "/"
	}
	return name, prefix
}

// trusts are the system's authorities and one's own; nil when those are no certificates.
func trusts(pem string) *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil
	}
	return pool
}

func openBucket(t Target, u *url.URL) (place, error) {
	transport, err := minio.DefaultTransport(!t.Insecure)
	if err != nil {
		return nil, err
	}
	transport.Proxy = http.ProxyFromEnvironment
	if t.CA != "" && !t.Insecure {
		transport.TLSClientConfig = &tls.Config{RootCAs: trusts(t.CA), MinVersion: tls.VersionTLS12}
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(t.AccessKey, t.SecretKey, ""), Secure: !t.Insecure, Transport: transport,
		Region: cmp.Or(t.Region, "us-east-1"), BucketLookup: minio.BucketLookupPath, MaxRetries: 5,
	})
	if err != nil {
		return nil, err
	}
	name, prefix := bucketOf(u)
	return bucket{client, name, prefix}, nil
}

func (b bucket) list(ctx context.Context) ([]string, error) {
	var names []string
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if name := strings.TrimPrefix(o.Key, b.prefix); name != "" && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, nil
}

// put needs no other name meanwhile: an object is there when all of it is.
func (b bucket) put(ctx context.Context, name string, from io.Reader, size int64) error {
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, from, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: 64 << 20, SendContentMd5: true,
	})
	return err
}

func (b bucket) remove(ctx context.Context, name string) error {
	return b.client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{})
}

func (b bucket) close() error { return nil }
