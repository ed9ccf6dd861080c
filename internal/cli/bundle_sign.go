package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// trustFile is asked for signatures by on every machine that has it.
const trustFile = "/etc/jeroboam/bundle.pub"

// trustFlags say whose bundles are used.
type trustFlags struct {
	PublicKey string `env:"JEROBOAM_BUNDLE_PUBLIC_KEY" placeholder:"FILE" help:"Use a bundle only if it is signed by a key of this file (/etc/jeroboam/bundle.pub, if that is there)."`
}

func (f trustFlags) trust() (sign.Trust, error) {
	file := f.PublicKey
	if file == "" {
		if _, err := os.Stat(trustFile); errors.Is(err, fs.ErrNotExist) {
			return sign.Trust{}, nil
		}
		file = trustFile // anything else than "not there" is for the reader to tell: it must not turn the check off
	}
	trust, err := sign.ReadTrust(file)
	if err != nil {
		return trust, fmt.Errorf("--public-key: %w", err)
	}
	return trust, nil
}

// open opens a bundle and checks whose it is. What is in it is checked as it is read.
func (f trustFlags) open(dir string) (*bundle.Bundle, error) {
	trust, err := f.trust()
	if err != nil {
		return nil, err
	}
	return bundle.Open(dir, trust)
}

// whole opens a bundle whose files are handed out as they are, so all of it is read first.
func (f trustFlags) whole(dir string) (*bundle.Bundle, error) {
	b, err := f.open(dir)
	if err != nil {
		return nil, err
	}
	return b, b.Verify(nil)
}

// signFlags say with which key something is signed. Keys and passwords come in files, never in arguments.
type signFlags struct {
	SignKey      string `env:"JEROBOAM_BUNDLE_SIGN_KEY" placeholder:"FILE" help:"Sign with this secret key (bundle keygen, or minisign -G); mode 0600."`
	PasswordFile string `env:"JEROBOAM_BUNDLE_PASSWORD_FILE" placeholder:"FILE" help:"The password of the secret key, if it is encrypted; mode 0600."`
}

// key reads the key; nil if none is named.
func (f signFlags) key() (*sign.Key, error) {
	if f.SignKey == "" {
		if f.PasswordFile != "" {
			return nil, errors.New("--password-file is of no use without --sign-key")
		}
		return nil, nil
	}
	password, err := readPassword(f.PasswordFile)
	if err != nil {
		return nil, err
	}
	key, err := sign.ReadKey(f.SignKey, password)
	if err != nil {
		return nil, fmt.Errorf("--sign-key: %w", err)
	}
	return &key, nil
}

func readPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := sign.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("--password-file: %s is empty", file)
	}
	return password, nil
}

type bundleSignCommand struct {
	Bundle string `arg:"" help:"The bundle, or the directory of a catalogue."`
	signFlags
}

// Run signs a bundle.
func (c *bundleSignCommand) Run(streams Streams) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	if key == nil {
		return errors.New("with which key? use --sign-key")
	}
	if err := bundle.Sign(c.Bundle, *key); err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s is signed with the key %s\n", c.Bundle, key)
	return err
}

type bundleKeygenCommand struct {
	Output       string `required:"" placeholder:"FILE" help:"The secret key; the public one goes to FILE.pub."`
	PasswordFile string `placeholder:"FILE" help:"Encrypt the secret key with the password in this file; mode 0600."`
}

// Run makes a key. It never writes over one.
func (c *bundleKeygenCommand) Run(streams Streams) error {
	password, err := readPassword(c.PasswordFile)
	if err != nil {
		return err
	}
	key, text, err := sign.NewKey(password)
	if err != nil {
		return err
	}
	public, err := key.Public()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, text string
		mode       fs.FileMode
	}{{c.Output, string(text), 0o600}, {c.Output + ".pub", public, 0o644}} {
		out, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already: a key is not written over, because nobody could use what it signed any more", f.name)
		}
		if err != nil {
			return err
		}
		_, err = out.WriteString(f.text)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(streams.Out, "%s: the secret key %s; %s.pub: its public part, for those who use bundles\n", c.Output, key, c.Output)
	return err
}
