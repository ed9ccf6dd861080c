package offsite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// server is a directory of an SFTP server. As any other target it is there already.
type server struct {
	ssh  *ssh.Client
	sftp *sftp.Client
	dir  string
	stop func() bool
}

// handshakeWithin is how long a server may take to be connected to, and to greet.
const handshakeWithin = 30 * time.Second

// checkKeys looks at both keys: the server's is not asked of the server.
func checkKeys(t Target) []error {
	var wrong []error
	if _, err := ssh.ParsePrivateKey([]byte(t.PrivateKey)); err != nil {
		wrong = append(wrong, errors.New("the private key is none in OpenSSH's format without a passphrase"))
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(t.HostKey)); err != nil {
		wrong = append(wrong, errors.New(`the host key is not of the form "ssh-ed25519 AAAA...": ssh-keyscan HOST prints it, after the host's name`))
	}
	return wrong
}

func openSFTP(ctx context.Context, t Target, u *url.URL) (place, error) {
	signer, err := ssh.ParsePrivateKey([]byte(t.PrivateKey))
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(t.HostKey))
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22"))
	conn, err := (&net.Dialer{Timeout: handshakeWithin, KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })               // neither ssh nor sftp know of contexts
	if err := conn.SetDeadline(time.Now().Add(handshakeWithin)); err != nil { // ClientConfig's Timeout is of ssh.Dial alone
		stop()
		return nil, errors.Join(err, conn.Close())
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: u.User.Username(), Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(key), HostKeyAlgorithms: algorithms(key),
	})
	if err != nil {
		stop()
		return nil, errors.Join(err, ctx.Err(), conn.Close())
	}
	client := ssh.NewClient(c, channels, requests)
	files, err := sftp.NewClient(client)
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // from here on a context ends it
	}
	if err != nil {
		stop()
		return nil, errors.Join(err, client.Close())
	}
	return server{client, files, path.Clean(u.Path), stop}, nil
}

// algorithms are those that a host key signs with: an RSA key has newer ones than its type says.
func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

func (s server) list(ctx context.Context) ([]string, error) {
	entries, err := s.sftp.ReadDirContext(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Mode().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (s server) put(ctx context.Context, name string, from io.Reader, size int64) error {
	temporary := path.Join(s.dir, partial+name)
	f, err := s.sftp.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	n, err := f.ReadFrom(until(ctx, from))
	if err == nil && n != size {
		err = fmt.Errorf("sent %d of %d bytes", n, size)
	}
	if err == nil {
		err = f.Chmod(0o600)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.sftp.Rename(temporary, path.Join(s.dir, name)) // the name is new: no server needs to replace a file
	}
	if err != nil {
		_ = s.sftp.Remove(temporary) // the next copy writes over it
	}
	return err
}

func (s server) remove(_ context.Context, name string) error {
	return s.sftp.Remove(path.Join(s.dir, name))
}

// close ends the connection and does not wait until the server has ended the session.
func (s server) close() error {
	s.stop()
	return s.ssh.Close()
}
