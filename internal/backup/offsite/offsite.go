// Package offsite copies backups to where they outlive the hosts that made them: a directory that is mounted from
// elsewhere, a bucket of an S3-compatible object store (Swift's s3api, Ceph's gateway), or a directory of an SFTP
// server.
//
// Backups are encrypted before they come here, so that a place needs to be trusted to keep them and not to read them. A
// copy has its name when it is whole. Nothing is remembered: what a place lacks is found by listing it, and a place
// that was away gets the rest next time.
package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Target is one place, with what opens it. It holds secrets: it is written to files of mode 0600 only, and never shown.
type Target struct {
	// URL is file:///directory, s3://host[:port]/bucket[/prefix] or sftp://user@host[:port]/directory.
	URL string `json:"url"`
	// AccessKey, SecretKey and Region are of S3; a region that is not given is us-east-1, which stores without regions
	// take.
	AccessKey string `json:"accessKey,omitempty"`
	SecretKey string `json:"secretKey,omitempty"`
	Region    string `json:"region,omitempty"`
	// Insecure speaks HTTP with an S3 store. What is sent is encrypted and signed; who listens learns names and sizes.
	Insecure bool `json:"insecure,omitempty"`
	// CA are certificates (PEM) to trust in an S3 store beside the system's.
	CA string `json:"ca,omitempty"`
	// PrivateKey (OpenSSH, without a passphrase) and HostKey ("ssh-ed25519 AAAA...") are of SFTP. Both are needed.
	PrivateKey string `json:"privateKey,omitempty"`
	HostKey    string `json:"hostKey,omitempty"`
	// Keep is how many of a node's backups stay there; 0 is all.
	Keep int `json:"keep,omitempty"`
}

// place is one kind of target, opened.
type place interface {
	// list are the names of all files, whole or not.
	list(ctx context.Context) ([]string, error)
	// put stores size bytes under a name, whole or not at all.
	put(ctx context.Context, name string, from io.Reader, size int64) error
	remove(ctx context.Context, name string) error
	close() error
}

// Check finds what is wrong with a target without asking it: all of it at once.
func (t Target) Check() error {
	u, err := url.Parse(t.URL)
	if err != nil {
		return errors.New("the URL cannot be read") // its text may hold a password
	}
	var wrong []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	_, password := u.User.Password()
	want(!password, "the URL has a password, which would be shown: secrets have fields of their own")
	want(u.RawQuery == "" && u.Fragment == "", "the URL has a query or a fragment, which mean nothing")
	switch u.Scheme {
	case "file":
		want(u.Host == "" && filepath.IsAbs(u.Path) && filepath.Clean(u.Path) != "/", "a directory is file:///its/path")
	case "s3":
		bucket, _ := bucketOf(u)
		want(u.Host != "" && bucket != "" && u.User == nil, "a bucket is s3://host[:port]/bucket[/prefix]")
		want(t.AccessKey != "" && t.SecretKey != "", "an S3 store needs an access key and a secret key")
		want(t.CA == "" || trusts(t.CA) != nil, "the CA is no PEM certificate")
	case "sftp":
		want(u.Host != "" && u.User.Username() != "" && u.Path != "" && u.Path != "/", "a directory of an SFTP server is sftp://user@host[:port]/directory")
		wrong = append(wrong, checkKeys(t)...)
	default:
		want(false, "the URL begins with none of file://, s3:// and sftp://")
	}
	want(t.Keep >= 0, "a negative number of backups cannot be kept")
	return errors.Join(wrong...)
}

// Name is the target as it may be shown.
func (t Target) Name() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "a place whose URL cannot be read"
	}
	return u.Redacted()
}

func (t Target) open(ctx context.Context) (place, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "file":
		return directory(u.Path), nil
	case "s3":
		return openBucket(t, u)
	default:
		return openSFTP(ctx, t, u)
	}
}

// Copied is what Copy has done at one target.
type Copied struct {
	Target  string   `json:"target"`
	Stored  []string `json:"stored,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Copy brings a target up to what a directory has. names are a node's backups there, the oldest first; the target gets
// the newest that it lacks, and the node's oldest go when all of them are there. Of other files the target keeps what
// it has: ours tells which are the node's.
func Copy(ctx context.Context, t Target, dir string, names []string, ours func([]string) []string) (Copied, error) {
	done := Copied{Target: t.Name()}
	p, err := t.open(ctx)
	if err != nil {
		return done, fmt.Errorf("%s: %w", done.Target, err)
	}
	defer func() { _ = p.close() }() // all that counts was answered
	there, err := p.list(ctx)
	if err != nil {
		return done, fmt.Errorf("%s: list: %w", done.Target, err)
	}
	if err := sweep(ctx, p, there, ours); err != nil {
		return done, fmt.Errorf("%s: %w", done.Target, err)
	}
	there = ours(there)
	if t.Keep > 0 {
		names = names[max(0, len(names)-t.Keep):]
	}
	for _, name := range names {
		if slices.Contains(there, name) {
			continue
		}
		if err := store(ctx, p, filepath.Join(dir, name), name); err != nil {
			return done, fmt.Errorf("%s: store %s: %w", done.Target, name, err)
		}
		done.Stored, there = append(done.Stored, name), append(there, name)
	}
	slices.Sort(there) // their names begin with the node's and go on with the time
	if t.Keep == 0 {
		return done, nil
	}
	for _, name := range there[:max(0, len(there)-t.Keep)] {
		if err := p.remove(ctx, name); err != nil {
			return done, fmt.Errorf("%s: remove %s: %w", done.Target, name, err)
		}
		done.Removed = append(done.Removed, name)
	}
	return done, nil
}

func store(ctx context.Context, p place, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return p.put(ctx, name, f, info.Size())
}

// partial is what the name of a copy that is not whole begins with.
const partial = ".new-"

// sweep removes copies that a killed run of this node has not finished: their backup may have gone here meanwhile, and
// nobody would write over them.
func sweep(ctx context.Context, p place, names []string, ours func([]string) []string) error {
	var left []string
	for _, name := range names {
		if of, ok := strings.CutPrefix(name, partial); ok {
			left = append(left, of)
		}
	}
	for _, of := range ours(left) {
		if err := p.remove(ctx, partial+of); err != nil {
			return fmt.Errorf("remove %s, which is not whole: %w", partial+of, err)
		}
	}
	return nil
}

// readerFunc is a function that reads.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// until reads as long as a context lasts, for what knows of none.
func until(ctx context.Context, from io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return from.Read(b)
	})
}
