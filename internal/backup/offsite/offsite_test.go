package offsite

import (
	"context"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// kind is one kind of place, with a server of its own.
type kind struct {
	target Target
	// names are what is there, put puts something there, and deny takes the place away, or gives it back.
	names func() []string
	put   func(name, text string)
	text  func(name string) string
	deny  func(bool)
}

func kinds() map[string]func(*testing.T) kind {
	return map[string]func(*testing.T) kind{"directory": aDirectory, "S3": anS3Store, "SFTP": anSFTPServer}
}

func onDisk(t *testing.T, dir string) kind {
	t.Helper()
	return kind{
		names: func() []string {
			var names []string
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				names = append(names, e.Name())
			}
			return names
		},
		put: func(name, text string) { write(t, filepath.Join(dir, name), text) },
		text: func(name string) string {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		},
		deny: func(yes bool) {
			from, to := dir, dir+".away"
			if !yes {
				from, to = to, from
			}
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func aDirectory(t *testing.T) kind {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mounted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k := onDisk(t, dir)
	k.target = Target{URL: "file://" + dir}
	return k
}

// store3 is as much of an S3 store as a client of backups meets: one bucket, whose owner has one key.
type store3 struct {
	t       *testing.T
	mu      sync.Mutex
	objects map[string]string
	denied  bool
}

type listing struct {
	XMLName  xml.Name `xml:"ListBucketResult"`
	Contents []struct{ Key string }
}

func (s *store3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>"+code+"</Message></Error>")
	}
	path, inBucket := strings.CutPrefix(r.URL.Path, "/backups")
	key := strings.TrimPrefix(path, "/")
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=writer/"):
		refuse(http.StatusForbidden, "InvalidAccessKeyId")
	case s.denied:
		refuse(http.StatusForbidden, "AccessDenied")
	case !inBucket:
		refuse(http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodGet && key == "":
		var l listing
		for _, name := range slices.Sorted(maps.Keys(s.objects)) {
			if strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
				l.Contents = append(l.Contents, struct{ Key string }{name})
			}
		}
		w.Header().Set("Content-Type", "application/xml")
		_ = xml.NewEncoder(w).Encode(l)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		sum := md5.Sum(body)
		if err != nil || r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]) {
			refuse(http.StatusBadRequest, "BadDigest")
			return
		}
		s.objects[key] = string(body)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func anS3Store(t *testing.T) kind {
	t.Helper()
	s := &store3{t: t, objects: map[string]string{}}
	web := httptest.NewTLSServer(s)
	t.Cleanup(web.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	locked := func(do func()) { s.mu.Lock(); defer s.mu.Unlock(); do() }
	return kind{
		target: Target{
			URL: "s3://" + strings.TrimPrefix(web.URL, "https://") + "/backups/cloud", AccessKey: "writer", SecretKey: "hidden", CA: string(ca),
		},
		names: func() (out []string) {
			locked(func() {
				for _, key := range slices.Sorted(maps.Keys(s.objects)) {
					out = append(out, strings.TrimPrefix(key, "cloud/"))
				}
			})
			return out
		},
		put:  func(name, text string) { locked(func() { s.objects["cloud/"+name] = text }) },
		text: func(name string) (out string) { locked(func() { out = s.objects["cloud/"+name] }); return out },
		deny: func(yes bool) { locked(func() { s.denied = yes }) },
	}
}

// anSFTPServer is an SSH server with github.com/pkg/sftp's own server behind it, on the real file system.
func anSFTPServer(t *testing.T) kind {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backups")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hostSigner, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "backup" || !slices.Equal(key.Marshal(), allowed.Marshal()) {
			return nil, errors.New("no")
		}
		return nil, nil //nolint:nilnil // as the library has it: no restrictions
	}}
	config.AddHostKey(hostSigner)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSFTP(conn, config)
		}
	}()
	k := onDisk(t, dir)
	k.target = Target{
		URL:        (&url.URL{Scheme: "sftp", User: url.User("backup"), Host: l.Addr().String(), Path: dir}).String(),
		PrivateKey: string(pem.EncodeToMemory(block)), HostKey: string(ssh.MarshalAuthorizedKey(hostSigner.PublicKey())),
	}
	return k
}

func serveSFTP(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem" && strings.HasSuffix(string(r.Payload), "sftp"), nil)
			}
		}()
		s, err := sftp.NewServer(channel)
		if err != nil {
			return
		}
		go func() { _ = s.Serve() }()
	}
}

// ours are the names of the node a.
func ours(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "a-") })
}

func TestCopy(t *testing.T) {
	for name, make := range kinds() {
		t.Run(name, func(t *testing.T) {
			k, dir := make(t), t.TempDir()
			k.target.Keep = 2
			local := []string{"a-1", "a-2", "a-3"}
			for _, name := range local {
				write(t, filepath.Join(dir, name), "backup "+name)
			}
			k.put("b-1", "another node's")
			k.put("a-0", "an old one")
			k.put(".new-a-9", "of a copy that was killed")
			k.put(".new-b-9", "of one that another node is at")

			done, err := Copy(t.Context(), k.target, dir, local, ours)
			if err != nil {
				t.Fatal(err)
			}
			want := Copied{Target: k.target.Name(), Stored: []string{"a-2", "a-3"}, Removed: []string{"a-0"}}
			if diff := cmp.Diff(want, done); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff([]string{".new-b-9", "a-2", "a-3", "b-1"}, k.names()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := k.text("a-3"); got != "backup a-3" {
				t.Errorf("it has %q", got)
			}
			if done, err = Copy(t.Context(), k.target, dir, local, ours); err != nil || len(done.Stored)+len(done.Removed) > 0 {
				t.Errorf("the second copy: %v %+v", err, done)
			}
		})
	}
}

// A place that was away gets the rest when it is back, and loses nothing of what it has meanwhile.
func TestAPlaceThatWasAway(t *testing.T) {
	for name, make := range kinds() {
		t.Run(name, func(t *testing.T) {
			k, dir := make(t), t.TempDir()
			k.target.Keep = 1
			k.put("a-1", "backup a-1")
			write(t, filepath.Join(dir, "a-2"), "backup a-2")
			k.deny(true)
			if done, err := Copy(t.Context(), k.target, dir, []string{"a-2"}, ours); err == nil || len(done.Removed) > 0 {
				t.Errorf("got %v %+v", err, done)
			} else if text := err.Error(); !strings.Contains(text, k.target.Name()) || strings.Contains(text, "hidden") {
				t.Errorf("the error says %q", text)
			}
			k.deny(false)
			if _, err := Copy(t.Context(), k.target, dir, []string{"a-2"}, ours); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a-2"}, k.names()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	for name, make := range kinds() {
		t.Run(name, func(t *testing.T) {
			k, dir := make(t), t.TempDir()
			write(t, filepath.Join(dir, "a-1"), "backup")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := Copy(ctx, k.target, dir, []string{"a-1"}, ours); err == nil || len(k.names()) > 0 {
				t.Errorf("got %v, and there is %q", err, k.names())
			}
		})
	}
}

func TestAnotherHostKeyIsRefused(t *testing.T) {
	k, other, dir := anSFTPServer(t), anSFTPServer(t), t.TempDir()
	k.target.HostKey = other.target.HostKey
	write(t, filepath.Join(dir, "a-1"), "backup")
	if _, err := Copy(t.Context(), k.target, dir, []string{"a-1"}, ours); err == nil || !strings.Contains(err.Error(), "host key mismatch") {
		t.Errorf("got %v", err)
	}
}

func TestTargetsAreChecked(t *testing.T) {
	good := anSFTPServer(t).target
	for _, c := range []struct {
		reason string
		target Target
		want   []string
	}{
		{"an SFTP server needs both keys", Target{URL: "sftp://backup@host/there"}, []string{"private key", "host key"}},
		{"a good one", good, nil},
		{"a store needs its keys, and a bucket", Target{URL: "s3://host"}, []string{"s3://host[:port]/bucket", "access key"}},
		{"a CA that is none", Target{URL: "s3://host/b", AccessKey: "a", SecretKey: "b", CA: "x"}, []string{"no PEM"}},
		{"a password would be shown", Target{URL: "sftp://a:secret@host/there", PrivateKey: good.PrivateKey, HostKey: good.HostKey}, []string{"has a password"}},
		{"a directory has a path of its own", Target{URL: "file://host/there"}, []string{"file:///its/path"}},
		{"the root is none", Target{URL: "file:///"}, []string{"file:///its/path"}},
		{"another scheme", Target{URL: "ftp://host/there"}, []string{"none of file://"}},
		{"no URL", Target{URL: "://"}, []string{"cannot be read"}},
		{"a negative number", Target{URL: "file:///there", Keep: -1}, []string{"negative"}},
	} {
		err := c.target.Check()
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: %v", c.reason, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", c.reason, want, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret@") || strings.Contains(c.target.Name(), "secret@") {
			t.Errorf("%s: it shows the password: %v", c.reason, err)
		}
	}
}
