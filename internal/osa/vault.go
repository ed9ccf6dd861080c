package osa

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// VaultPassword opens what ansible-vault closed. The ID is a hint, as in Ansible: one that matches is tried first.
type VaultPassword struct {
	ID       string
	Password []byte
}

const vaultMark = "$ANSIBLE_VAULT;"

// IsVault says whether a text was closed by ansible-vault.
func IsVault(text []byte) bool { return bytes.HasPrefix(text, []byte(vaultMark)) }

// ErrVaultClosed says that nobody gave a password.
var ErrVaultClosed = errors.New("is encrypted with ansible-vault: give its password with --vault-password-file")

// OpenVault opens a text with whichever password fits. Formats: 1.1 and 1.2, which adds the vault id, both with AES256.
func OpenVault(text []byte, passwords []VaultPassword) ([]byte, error) {
	id, body, err := vaultParts(text)
	if err != nil {
		return nil, err
	}
	if len(passwords) == 0 {
		if id != "" {
			return nil, fmt.Errorf("%w (vault id %q)", ErrVaultClosed, id)
		}
		return nil, ErrVaultClosed
	}
	for _, matching := range []bool{true, false} {
		for _, p := range passwords {
			if (p.ID == id) != matching {
				continue
			}
			if plain, ok := body.open(p.Password); ok {
				return plain, nil
			}
		}
	}
	return nil, errors.New("is encrypted with ansible-vault, and none of the passwords given fits")
}

// vaultBody is what stands below the header.
type vaultBody struct{ salt, sum, cipher []byte }

func vaultParts(text []byte) (id string, body vaultBody, err error) {
	lines := strings.Fields(string(text))
	if len(lines) < 2 {
		return "", body, errors.New("has an ansible-vault header and no content")
	}
	header := strings.Split(lines[0], ";")
	switch {
	case len(header) == 3 && header[1] == "1.1":
	case len(header) == 4 && header[1] == "1.2":
		id = header[3]
	default:
		return "", body, errors.New("has an ansible-vault header of an unknown format (1.1 and 1.2 are supported)")
	}
	if header[2] != "AES256" {
		return "", body, errors.New("is encrypted by another cipher than AES256 (encrypt it again with ansible-vault rekey)")
	}
	outer, err := hex.DecodeString(strings.Join(lines[1:], ""))
	if err != nil {
		return "", body, errors.New("is not valid hexadecimal below the ansible-vault header")
	}
	parts := bytes.SplitN(outer, []byte("\n"), 3)
	if len(parts) != 3 {
		return "", body, errors.New("is cut short: it has no three parts below the ansible-vault header")
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = hex.DecodeString(strings.TrimSpace(string(part))); err != nil {
			return "", body, errors.New("is damaged below the ansible-vault header")
		}
	}
	return id, vaultBody{salt: decoded[0], sum: decoded[1], cipher: decoded[2]}, nil
}

// Ansible 2.4 and later: PBKDF2 with 10000 rounds of SHA-256 makes two keys and a counter; HMAC over the ciphertext.
func (b vaultBody) open(password []byte) ([]byte, bool) {
	keys, err := pbkdf2.Key(sha256.New, string(password), b.salt, 10000, 80)
	if err != nil {
		return nil, false
	}
	mac := hmac.New(sha256.New, keys[32:64])
	mac.Write(b.cipher)
	if !hmac.Equal(mac.Sum(nil), b.sum) {
		return nil, false
	}
	block, err := aes.NewCipher(keys[:32])
	if err != nil || len(b.cipher) == 0 || len(b.cipher)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(b.cipher))
	cipher.NewCTR(block, keys[64:80]).XORKeyStream(plain, b.cipher)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, false
	}
	return plain[:len(plain)-pad], true
}
