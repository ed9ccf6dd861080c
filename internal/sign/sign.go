// Package sign signs what one machine makes and another one uses, in minisign's format: bundles and catalogues of
// addons.
//
// A digest says that bytes are those of the list; a signature says whose list it is. The secret key stays with whoever
// makes bundles. Those who use them have the public key in a file, which may name several: the next one is handed out
// before the first bundle is signed with it, and the old one is taken away when no bundle of its time is in use any
// more.
//
// The format is that of https://jedisct1.github.io/minisign/, so that minisign itself can make keys, sign and verify.
package sign

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aead.dev/minisign"
)

// Suffix is what a signature's file is called, after the name of what is signed.
const Suffix = ".minisig"

// maxFile bounds files of keys and signatures in bytes; they have some hundred.
const maxFile = 64 << 10

// Key is a secret key. It prints as its public id, never as itself.
type Key struct{ private minisign.PrivateKey }

// String is the id of the key, which is public.
func (k Key) String() string { return id(k.private.ID()) }

// GoString is the same, for %#v.
func (k Key) GoString() string { return k.String() }

// Public is the text of the public key's file.
func (k Key) Public() (string, error) {
	public, ok := k.private.Public().(minisign.PublicKey)
	if !ok {
		return "", errors.New("the secret key has no public one")
	}
	text, err := public.MarshalText()
	return string(text) + "\n", err
}

func id(n uint64) string { return fmt.Sprintf("%016X", n) }

// NewKey makes a key, and the text of its file. A password encrypts the file; without one its mode is all that protects
// it.
func NewKey(password string) (Key, []byte, error) {
	_, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, nil, fmt.Errorf("make a key: %w", err)
	}
	text, err := private.MarshalText()
	if password != "" {
		text, err = minisign.EncryptKey(password, private)
	}
	if err != nil {
		return Key{}, nil, fmt.Errorf("make a key: %w", err)
	}
	return Key{private}, append(bytes.TrimRight(text, "\n"), '\n'), nil
}

// ReadKey reads a secret key. Nobody but its owner may read the file.
func ReadKey(file, password string) (Key, error) {
	text, err := ReadSecret(file)
	if err != nil {
		return Key{}, err
	}
	if !minisign.IsEncrypted(text) {
		var k Key
		if err := k.private.UnmarshalText(text); err != nil {
			return Key{}, fmt.Errorf("%s is no secret key of minisign: %w", file, err)
		}
		return k, nil
	}
	if password == "" {
		return Key{}, fmt.Errorf("%s is encrypted: name the file with its password", file)
	}
	private, err := minisign.DecryptKey(password, text)
	if err != nil {
		return Key{}, fmt.Errorf("%s cannot be decrypted: is it the right password? %w", file, err)
	}
	return Key{private}, nil
}

// ReadSecret reads a file that nobody but its owner may read.
func ReadSecret(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", file)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s has mode %04o: others could read it; chmod 0600 %s, and make another one if they may have", file, info.Mode().Perm(), file)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is longer than %d bytes", file, maxFile)
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	return text[:n], err
}

// Sign signs a text. The comment is signed as well; two runs give the same signature.
func (k Key) Sign(text []byte, comment string) ([]byte, error) {
	r := minisign.NewReader(bytes.NewReader(text))
	if _, err := io.Copy(io.Discard, r); err != nil { // hashed first, as minisign itself does since 0.8
		return nil, err
	}
	out := r.SignWithComments(k.private, comment, "signature of jeroboam with the key "+k.String())
	return append(bytes.TrimRight(out, "\n"), '\n'), nil
}

// Trust is whose signatures are believed. The zero value asks for no signature.
type Trust struct {
	file string
	keys []minisign.PublicKey
}

// ReadTrust reads a file of public keys: minisign's own, or several of them one after another.
func ReadTrust(file string) (Trust, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Trust{}, err
	}
	t := Trust{file: file}
	var problems []error
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "untrusted comment:") || strings.HasPrefix(line, "#") {
			continue
		}
		var k minisign.PublicKey
		if err := k.UnmarshalText([]byte(line)); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: no public key of minisign: %w", file, i+1, err))
			continue
		}
		t.keys = append(t.keys, k)
	}
	if len(t.keys) == 0 && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("%s has no public key", file))
	}
	return t, errors.Join(problems...)
}

// Asked says whether signatures are asked for at all.
func (t Trust) Asked() bool { return len(t.keys) > 0 }

// File is where the public keys were read from.
func (t Trust) File() string { return t.file }

// Check says what is wrong with a signature of a text; what names the text in the error.
func (t Trust) Check(what string, text, signature []byte) error {
	if !t.Asked() {
		return nil
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return fmt.Errorf("%s: its signature is none of minisign: %w", what, err)
	}
	var ids []string
	for _, k := range t.keys {
		ids = append(ids, id(k.ID()))
		if k.ID() != s.KeyID {
			continue
		}
		if minisign.Verify(k, text, signature) {
			return nil
		}
		return fmt.Errorf("%s was changed after it was signed: its signature by key %s does not fit; take it again from where it was made", what, id(s.KeyID))
	}
	return fmt.Errorf("%s is signed by key %s, and %s has only %s: take it from somebody you trust, or add that key", what, id(s.KeyID), t.file, strings.Join(ids, ", "))
}

// CheckFile reads a file of a tree and checks the signature beside it. The text that was checked is returned, so that
// nobody has to read it a second time.
func (t Trust) CheckFile(files fs.FS, name string) ([]byte, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil || !t.Asked() {
		return text, err
	}
	signature, err := fs.ReadFile(files, name+Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not signed, and %s asks for it: sign it where it was made (jeroboam bundle sign)", name, t.file)
	}
	if err != nil {
		return nil, err
	}
	return text, t.Check(name, text, signature)
}
