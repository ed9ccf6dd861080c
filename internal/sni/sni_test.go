package sni_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/sni"
)

// hello is what crypto/tls sends first.
func hello(tb testing.TB, config *tls.Config) []byte {
	tb.Helper()
	rec := &recorder{}
	_ = tls.Client(rec, config).Handshake() // fails: nobody answers
	if rec.sent.Len() == 0 {
		tb.Fatal("crypto/tls sent nothing")
	}
	return rec.sent.Bytes()
}

func named(name string) *tls.Config { return &tls.Config{ServerName: name, InsecureSkipVerify: true} }

// records cuts a message into records of n bytes.
func records(raw []byte, n int) []byte {
	var out []byte
	for body := raw[5:]; len(body) > 0; {
		k := min(n, len(body))
		out = append(out, 22, 3, 1, byte(k>>8), byte(k))
		out = append(out, body[:k]...)
		body = body[k:]
	}
	return out
}

func TestRead(t *testing.T) {
	normal := hello(t, named("kube-ab1cd.magnum-system"))
	many := named("kube-ab1cd.magnum-system")
	for range 300 {
		many.NextProtos = append(many.NextProtos, strings.Repeat("p", 50))
	}
	for _, tc := range []struct {
		name, reason string
		in           []byte
		want         string
		err          error
	}{
		{"one record", "what every client sends", normal, "kube-ab1cd.magnum-system", nil},
		{"case", "names are compared in lower case", hello(t, named("KUBE-ab1cd.Magnum-System")), "kube-ab1cd.magnum-system", nil},
		{"more than the hello", "early data belongs to what is passed on", append(bytes.Clone(normal), "more"...), "kube-ab1cd.magnum-system", nil},
		{"split records", "RFC 8446 lets a message span records", records(normal, 7), "kube-ab1cd.magnum-system", nil},
		{"tiny records", "one byte each, headers outweigh the message", records(normal, 1), "kube-ab1cd.magnum-system", nil},
		{"no name", "a client that dials an address sends none", hello(t, &tls.Config{InsecureSkipVerify: true}), "", sni.ErrNoName},
		{"too long", "nobody needs 16 KiB to say hello", hello(t, many), "", sni.ErrTooLong},
		{"HTTP", "a browser on the wrong port", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "", sni.ErrNotTLS},
		{"SSH", "a scanner", []byte("SSH-2.0-scanner\r\n"), "", sni.ErrNotTLS},
		{"alert", "a TLS record of another type", []byte{21, 3, 1, 0, 2, 2, 40}, "", sni.ErrNotTLS},
		{"another message", "a handshake that does not begin with ClientHello", []byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, "", sni.ErrNotTLS},
		{"cut", "the connection ends in the middle", normal[:len(normal)-1], "", io.ErrUnexpectedEOF},
		{"nothing", "the connection ends at once", nil, "", io.EOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"at once": bytes.NewReader(tc.in), "byte by byte": iotest.OneByteReader(bytes.NewReader(tc.in))} {
				got, err := sni.Read(r, nil)
				want := tc.err
				if errors.Is(want, io.ErrUnexpectedEOF) {
					want = io.EOF
				}
				if got.Name != tc.want || !errors.Is(err, want) {
					t.Errorf("%s: %q, %v; want %q, %v (%s)", how, got.Name, err, tc.want, want, tc.reason)
				}
				if !bytes.HasPrefix(tc.in, got.Raw) {
					t.Errorf("%s: the bytes that were read are not kept", how)
				}
				if how == "at once" && err == nil && len(tc.in) < 2048 && len(got.Raw) != len(tc.in) {
					t.Errorf("%s: %d of %d bytes kept", how, len(got.Raw), len(tc.in))
				}
			}
		})
	}
}

// FuzzRead holds the reader against crypto/tls: what that accepts, this accepts, with the same name.
func FuzzRead(f *testing.F) {
	f.Add(hello(f, named("kube-ab1cd.magnum-system")))
	f.Add(hello(f, &tls.Config{InsecureSkipVerify: true}))
	f.Add(hello(f, &tls.Config{ServerName: "a", MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}))
	f.Add(records(hello(f, named("b")), 9))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := sni.Read(bytes.NewReader(in), nil)
		if !bytes.HasPrefix(in, got.Raw) || len(got.Raw) > sni.Limit {
			t.Fatalf("kept %d bytes that are not the first of %d", len(got.Raw), len(in))
		}
		name, ok := standard(in)
		if !ok || errors.Is(err, sni.ErrTooLong) {
			return
		}
		if name == "" {
			if !errors.Is(err, sni.ErrNoName) {
				t.Errorf("crypto/tls sees no name, this says %q, %v", got.Name, err)
			}
		} else if err != nil || got.Name != strings.ToLower(name) {
			t.Errorf("crypto/tls says %q, this says %q, %v", name, got.Name, err)
		}
	})
}

// standard is what crypto/tls makes of the bytes.
func standard(in []byte) (name string, ok bool) {
	rec := &recorder{in: bytes.NewReader(in)}
	_ = tls.Server(rec, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = i.ServerName, true
		return nil, errors.New("enough")
	}}).Handshake()
	return name, ok
}

// recorder is a connection that keeps what is written.
type recorder struct {
	in   io.Reader
	sent bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	if r.in == nil {
		return 0, io.EOF
	}
	return r.in.Read(p)
}
func (r *recorder) Write(p []byte) (int, error)      { return r.sent.Write(p) }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recorder) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recorder) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (r *recorder) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (r *recorder) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func BenchmarkRead(b *testing.B) {
	raw := hello(b, named("kube-ab1cd.magnum-system"))
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sni.Read(bytes.NewReader(raw), buf); err != nil {
			b.Fatal(err)
		}
	}
}
