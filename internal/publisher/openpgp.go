package publisher

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Keyring is whose OpenPGP signatures are believed.
type Keyring struct{ keys openpgp.EntityList }

// ReadKeyring reads armored public keys, any number of them one after another, with any text between.
func ReadKeyring(text []byte) (*Keyring, error) {
	r := bufio.NewReader(bytes.NewReader(text)) // one for all blocks: each takes what it needs
	k := &Keyring{}
	for {
		block, err := armor.Decode(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		keys, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		k.keys = append(k.keys, keys...)
	}
	if len(k.keys) == 0 {
		return nil, errors.New("keyring: there is no armored public key in it")
	}
	return k, nil
}

// Open verifies a clear-signed text at a time, and gives what was signed: what stands before and after it is nobody's.
func (k *Keyring) Open(text []byte, now time.Time) ([]byte, error) {
	block, _ := clearsign.Decode(text)
	if block == nil {
		return nil, errors.New("it is not clear-signed with OpenPGP")
	}
	if _, err := block.VerifySignature(k.keys, &packet.Config{Time: func() time.Time { return now }}); err != nil {
		return nil, fmt.Errorf("its OpenPGP signature is not one of the keyring's: %w", err)
	}
	return block.Plaintext, nil
}
