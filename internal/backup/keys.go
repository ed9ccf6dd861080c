package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
)

// Recipients reads public keys, as in the configuration.
func Recipients(keys []string) ([]age.Recipient, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to encrypt for")
	}
	out, err := age.ParseRecipients(strings.NewReader(strings.Join(keys, "\n")))
	if err != nil {
		return nil, fmt.Errorf("keys to encrypt for: %w", err)
	}
	return out, nil
}

// ReadKeys reads a file of secret keys, as age-keygen and NewKey write them.
func ReadKeys(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	keys, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (it should have a line that begins with AGE-SECRET-KEY-)", file, err)
	}
	return keys, nil
}

// NewKey makes a key: the text of a file for ReadKeys, and the public key for the configuration.
func NewKey() (secret, public string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	public = id.Recipient().String()
	return fmt.Sprintf("# public key: %s\n%s\n", public, id), public, nil
}

// FileKey is what opens one archive and no other: 16 bytes that the archive's header has, encrypted for each recipient.
func FileKey(archive io.Reader, keys []age.Identity) ([]byte, error) {
	head, err := age.ExtractHeader(bufio.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("this is no backup: %w", err)
	}
	key, err := age.DecryptHeader(head, keys...)
	if err != nil {
		return nil, explain(err)
	}
	return bytes.Clone(key), nil
}
