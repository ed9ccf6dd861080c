package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Target is where and how to log in.
type Target struct {
	Name    string
	Address string
	Port    int
	User    string
}

// Auth is what to log in with.
type Auth struct {
	// Keys are files with private keys; those that do not exist are passed over. AgentSocket is ssh-agent's.
	Keys        []string
	AgentSocket string
	// KnownHosts are files with the keys of hosts.
	KnownHosts []string
}

// DefaultAuth is what the ssh command of this user takes.
func DefaultAuth(home string, socket string) Auth {
	dir := filepath.Join(home, ".ssh")
	return Auth{
		Keys:        []string{filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "id_ecdsa"), filepath.Join(dir, "id_rsa")},
		AgentSocket: socket,
		KnownHosts:  []string{filepath.Join(dir, "known_hosts"), "/etc/ssh/ssh_known_hosts"},
	}
}

// This is the program that runs now, for hosts to run.
func This() (Program, error) {
	path, err := os.Executable()
	if err != nil {
		return Program{}, fmt.Errorf("find this program: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Program{}, fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return Program{}, fmt.Errorf("read this program: %w", err)
	}
	return Program{Path: path, Digest: hex.EncodeToString(h.Sum(nil)), Size: n}, nil
}

const (
	dialTimeout = 30 * time.Second // sshd on a busy host takes its time
	// beat is how often an idle connection is tested; after three without an answer the host counts as gone.
	beat = 5 * time.Second
	// place is where agents are on a host. The name has the digest, so that two builds do not meet.
	place = "/usr/local/lib/jeroboam"
)

// Dial logs in, brings the program if the host does not have it, and starts it as an agent.
func Dial(ctx context.Context, t Target, a Auth, p Program) (*Conn, error) {
	client, err := login(ctx, t, a)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", t.Name, err)
	}
	c, err := bring(ctx, client, t, p)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", t.Name, err), client.Close())
	}
	return c, nil
}

// bring brings the program and starts it. A host that stops answering meanwhile, or a run that ends, ends it.
func bring(ctx context.Context, client *ssh.Client, t Target, p Program) (*Conn, error) {
	stop := make(chan struct{})
	defer close(stop)
	var mu sync.Mutex
	var gone error
	go heartbeat(client, stop, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		gone = fmt.Errorf("%w (%w)", ErrGone, err)
	})
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	path, err := install(client, t, p)
	var c *Conn
	if err == nil {
		c, err = start(client, t, path)
	}
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		return nil, cmp.Or(gone, ctx.Err(), err)
	}
	return c, nil
}

func login(ctx context.Context, t Target, a Auth) (*ssh.Client, error) {
	methods, err := a.methods()
	if err != nil {
		return nil, err
	}
	var files []string
	for _, f := range a.KnownHosts {
		if _, err := os.Stat(f); err == nil {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("none of the files with host keys exists (%s): log in once with ssh, or give --known-hosts", strings.Join(a.KnownHosts, ", "))
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, fmt.Errorf("read host keys: %w", err)
	}
	address := net.JoinHostPort(t.Address, strconv.Itoa(t.Port))
	cfg := &ssh.ClientConfig{
		User: t.User, Auth: methods, HostKeyCallback: check, HostKeyAlgorithms: known(check, address), Timeout: dialTimeout,
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	tcp, err := (&net.Dialer{KeepAlive: beat}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("log in with SSH: %w", err)
	}
	inTime := context.AfterFunc(ctx, func() { _ = tcp.Close() }) // the library knows no contexts
	conn, chans, reqs, err := ssh.NewClientConn(tcp, address, cfg)
	if !inTime() && err == nil {
		_ = conn.Close() // it is over
		err = ctx.Err()
	}
	if err != nil {
		_ = tcp.Close() // it may be closed already
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, fmt.Errorf("log in with SSH: %s takes connections and says nothing for %s: is it sshd's port?", address, dialTimeout)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, explain(err, t, address)
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

// explain says what to do about a refused login.
func explain(err error, t Target, address string) error {
	var key *knownhosts.KeyError
	switch {
	case errors.As(err, &key) && len(key.Want) > 0:
		return fmt.Errorf("the host key of %s is not the known one (%s:%d): if the host was reinstalled, remove that line", address, key.Want[0].Filename, key.Want[0].Line)
	case errors.As(err, &key):
		return fmt.Errorf("the host key of %s is not known: log in once with ssh, or add it to known_hosts", address)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("log in with SSH as %s: no key was accepted: %w", t.User, err)
	}
	return fmt.Errorf("log in with SSH: %w", err)
}

// known are the kinds of keys that known_hosts has of a host: with another kind first, a known host looks unknown.
func known(check ssh.HostKeyCallback, address string) []string {
	var key *knownhosts.KeyError
	if err := check(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &key) {
		return nil
	}
	var out []string
	for _, w := range key.Want {
		if w.Key.Type() == ssh.KeyAlgoRSA {
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		}
		out = append(out, w.Key.Type())
	}
	return out
}

// noKey is a key that no host has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// CheckKeys tells which files have no private key to log in with, all of them at once.
func CheckKeys(files []string) error {
	var wrong []error
	for _, f := range files {
		if _, err := readKey(f); err != nil && !errors.As(err, new(*ssh.PassphraseMissingError)) { // ssh-agent may have it
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

func readKey(file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read SSH key: %w", err)
	}
	s, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read SSH key %s: %w", file, err)
	}
	return s, nil
}

func (a Auth) methods() ([]ssh.AuthMethod, error) {
	var signers []ssh.Signer
	var tried []string
	for _, f := range a.Keys {
		s, err := readKey(f)
		switch {
		case err == nil:
			signers = append(signers, s)
		case errors.As(err, new(*ssh.PassphraseMissingError)):
			tried = append(tried, f+" (has a passphrase: add it to ssh-agent)")
		case errors.As(err, new(*fs.PathError)):
			tried = append(tried, f)
		default:
			return nil, err
		}
	}
	var out []ssh.AuthMethod
	if len(signers) > 0 {
		out = append(out, ssh.PublicKeys(signers...))
	}
	if a.AgentSocket != "" {
		if conn, err := net.Dial("unix", a.AgentSocket); err == nil { //nolint:noctx // a local socket; it lives as long as the process
			out = append(out, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no SSH key to log in with: no ssh-agent, and not %s", strings.Join(tried, ", "))
	}
	return out, nil
}

// sudo is what comes before a command for a user who is not root.
func sudo(user string) string {
	if user == "root" {
		return ""
	}
	return "sudo -n -- "
}

// output runs a command and gives what it wrote.
func output(client *ssh.Client, in io.Reader, command string) (string, error) {
	s, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }() // ended already when all went well
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = in, &out, &errs
	if err := s.Run(command); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// install brings the program to the host, whole or not at all.
func install(client *ssh.Client, t Target, p Program) (string, error) {
	path := place + "/agent-" + p.Digest[:16]
	root := sudo(t.User)
	out, err := output(client, nil, fmt.Sprintf("%ssh -c 'test -x %s && echo there || echo new'", root, path))
	if err != nil {
		return "", fmt.Errorf("run a command as root: %w", err)
	}
	if strings.Contains(out, "there") {
		return path, nil
	}
	f, err := p.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	script := fmt.Sprintf(`set -e; mkdir -p %[1]s; umask 077; cat > %[2]s.new-$$; echo "%[3]s  %[2]s.new-$$" | sha256sum -c - >/dev/null; chmod 755 %[2]s.new-$$; mv -f %[2]s.new-$$ %[2]s`,
		place, path, p.Digest)
	if _, err := output(client, f, root+"sh -c '"+script+"'"); err != nil {
		return "", fmt.Errorf("copy the agent: %w", err)
	}
	return path, nil
}

// start runs the agent and keeps an eye on the connection.
func start(client *ssh.Client, t Target, path string) (*Conn, error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.Start(sudo(t.User) + path + " agent"); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	c := Pipe(t.Name, in, out)
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return client.DialContext(ctx, network, address)
	}
	c.upload = (&uploads{client: client, command: sudo(t.User) + path + " agent --store"}).put
	stop := make(chan struct{})
	c.close = sync.OnceValue(func() error {
		close(stop)
		err := in.Close()
		done := make(chan struct{})
		go func() { _ = s.Wait(); close(done) }() // its exit status says nothing we do not know
		select {
		case <-done:
		case <-time.After(2 * time.Second): // it finishes what it does without us
		}
		return errors.Join(err, client.Close())
	})
	go heartbeat(client, stop, c.broken)
	return c, nil
}

// heartbeat notices hosts that vanished without a word, tells, and ends the connection.
func heartbeat(client *ssh.Client, stop <-chan struct{}, tell func(error)) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(beat):
		}
		answer := make(chan error, 1)
		go func() {
			_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		var err error
		select {
		case err = <-answer:
		case <-time.After(3 * beat):
			err = fmt.Errorf("no answer for %s", 3*beat)
		}
		if err != nil {
			tell(err)
			_ = client.Close() // nobody answers there
			return
		}
	}
}
