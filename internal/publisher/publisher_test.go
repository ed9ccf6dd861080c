package publisher_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/publisher"
	"github.com/jeroboam-cloud/jeroboam/internal/publisher/publishertest"
)

// TestGnuPG: what GnuPG 2.2.40 has signed ("gpg --clear-sign"), with a line that begins with a dash.
func TestGnuPG(t *testing.T) {
	keyring, text := read(t, "gnupg.keyring"), read(t, "gnupg.sums.asc")
	k, err := publisher.ReadKeyring(keyring)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := k.Open(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(signed), "  one\n- ") || bytes.Contains(signed, []byte("-----")) {
		t.Errorf("signed is %q", signed)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestKeyring: what a keyring opens, and what it does not.
func TestKeyring(t *testing.T) {
	now := time.Now()
	one, other, short := publishertest.NewSigner(t, now, 0), publishertest.NewSigner(t, now, 0), publishertest.NewSigner(t, now.Add(-2*time.Hour), 3600)
	ring := "a comment\n" + string(other.Public(t)) + "between two keys\n" + string(one.Public(t)) + string(short.Public(t))
	text := string(one.Sign(t, now, "sum  file\n"))
	for _, c := range []struct{ reason, ring, text, want string }{
		{"the second key of the keyring", ring, text, ""},
		{"lines before and after are not signed", ring, "forged  file\n" + text + "forged  file\n", ""},
		{"a letter changed", ring, strings.Replace(text, "sum", "Sum", 1), "not one of the keyring's"},
		{"a key that the keyring does not have", string(other.Public(t)), text, "not one of the keyring's"},
		{"a key that has expired", ring, string(short.Sign(t, now.Add(-90*time.Minute), "sum  file\n")), "not one of the keyring's"},
		{"not signed", ring, "sum  file\n", "not clear-signed"},
		{"nothing", ring, "", "not clear-signed"},
		{"no keyring", "keys\n", text, "no armored public key"},
		{"a broken keyring", strings.Replace(ring, "\n\n", "\n\nAAAA", 1), text, "keyring: "},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var signed []byte
			k, err := publisher.ReadKeyring([]byte(c.ring))
			if err == nil {
				signed, err = k.Open([]byte(c.text), now)
			}
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want %q, have %q, %v", c.want, signed, err)
			case c.want == "" && (err != nil || string(signed) != "sum  file\n"):
				t.Errorf("have %q, %v", signed, err)
			}
		})
	}
}

const (
	identity = "releases@example.test"
	issuer   = "https://accounts.example.test"
)

// TestSigstore: whose signatures hold. Certificates have expired fifty minutes ago, as all of Fulcio's have.
func TestSigstore(t *testing.T) {
	a, stranger := publishertest.NewAuthority(t), publishertest.NewAuthority(t)
	digest, other := sha256.Sum256([]byte("a file")), sha256.Sum256([]byte("another"))
	long, hours := time.Now().Add(-time.Hour*20), time.Now().Add(-3*time.Hour)
	good := func(t *testing.T) (string, string) { t.Helper(); return a.Sign(t, identity, issuer, digest[:]) }
	for _, c := range []struct {
		reason string
		root   []byte
		sign   func(t *testing.T) (signature, certificate string)
		want   string
	}{
		{"as it should be", a.TrustedRoot(t, long, time.Time{}), good, ""},
		{"a certificate in base64 once more, as beside Kubernetes' files", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) {
			t.Helper()
			s, c := good(t)
			return s + "\n", base64.StdEncoding.EncodeToString([]byte(c)) + "\n"
		}, ""},
		{"of another file", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) { t.Helper(); return a.Sign(t, identity, issuer, other[:]) }, "is of something else"},
		{"somebody else's", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) {
			t.Helper()
			return a.Sign(t, "x"+identity, issuer, digest[:])
		}, `signed by ["xreleases@example.test"], and must be by releases@example.test`},
		{"vouched for by somebody else", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) {
			t.Helper()
			return a.Sign(t, identity, issuer+".evil", digest[:])
		}, "vouched for by"},
		{"of an authority that is not trusted", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) {
			t.Helper()
			return stranger.Sign(t, identity, issuer, digest[:])
		}, "of no authority in the trusted root"},
		{"after the authority's time", a.TrustedRoot(t, long, hours), good, "none gave out certificates at"},
		{"before the authority's time", a.TrustedRoot(t, time.Now(), time.Time{}), good, "none gave out certificates at"},
		{"a signature and another certificate", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) {
			t.Helper()
			s, _ := good(t)
			_, c := good(t)
			return s, c
		}, "is of something else"},
		{"no base64", a.TrustedRoot(t, long, time.Time{}), func(t *testing.T) (string, string) { t.Helper(); _, c := good(t); return "*", c }, "not base64"},
		{"no certificate", a.TrustedRoot(t, long, time.Time{}), func(*testing.T) (string, string) { return "", "QUFB" }, "there is no certificate"},
		{"no authority", []byte("{}"), good, "names no certificate authority"},
		{"no JSON", []byte("root"), good, "trusted root: "},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s, err := publisher.ReadTrustedRoot(c.root, identity, issuer)
			if err == nil {
				signature, certificate := c.sign(t)
				err = s.Verify(digest[:], signature, certificate)
			}
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// TestImageSignature: a signature that holds is of the image that it names.
func TestImageSignature(t *testing.T) {
	a := publishertest.NewAuthority(t)
	s, err := publisher.ReadTrustedRoot(a.TrustedRoot(t, time.Now().Add(-20*time.Hour), time.Time{}), identity, issuer)
	if err != nil {
		t.Fatal(err)
	}
	payload, signature, certificate := a.SignImage(t, identity, issuer, "sha256:one")
	if err := s.VerifyImage("sha256:one", payload, signature, certificate); err != nil {
		t.Error(err)
	}
	if err := s.VerifyImage("sha256:two", payload, signature, certificate); err == nil || !strings.Contains(err.Error(), `of the image "sha256:one"`) {
		t.Errorf("another image: %v", err)
	}
	forged := bytes.Replace(payload, []byte("one"), []byte("two"), 1)
	if err := s.VerifyImage("sha256:two", forged, signature, certificate); err == nil || !strings.Contains(err.Error(), "of something else") {
		t.Errorf("another claim: %v", err)
	}
}

// FuzzPublisher: whatever publishers serve, it is an error and nothing worse.
func FuzzPublisher(f *testing.F) {
	for _, name := range []string{"gnupg.keyring", "gnupg.sums.asc"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"certificateAuthorities":[{"certChain":{"certificates":[{"rawBytes":"AAAA"}]},"validFor":{}}]}`)
	keyring, err := os.ReadFile("testdata/gnupg.keyring")
	if err != nil {
		f.Fatal(err)
	}
	k, err := publisher.ReadKeyring(keyring)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = publisher.ReadKeyring([]byte(text))
		_, _ = k.Open([]byte(text), time.Now())
		if s, err := publisher.ReadTrustedRoot([]byte(text), identity, issuer); err == nil {
			_ = s.VerifyImage("sha256:one", []byte(text), text, text)
		}
		s := &publisher.Sigstore{}
		if err := s.Verify(nil, text, text); err == nil {
			t.Error("nobody is trusted, and it holds")
		}
	})
}
