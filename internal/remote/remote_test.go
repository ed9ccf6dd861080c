package remote_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// echo is an agent: it answers each request with what it got, after an event; "slow" never, "bad" with an error.
func echo(in io.Reader, out io.Writer) {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r map[string]any
		if dec.Decode(&r) != nil {
			return
		}
		switch r["op"] {
		case "slow":
			continue
		case "bad":
			_ = enc.Encode(map[string]any{"id": r["id"], "error": "it did not work"})
			continue
		}
		_ = enc.Encode(map[string]any{"id": r["id"], "event": map[string]any{"text": "working"}})
		_ = enc.Encode(map[string]any{"id": r["id"], "out": r["in"]})
	}
}

func TestCalls(t *testing.T) {
	toAgent, stdin := io.Pipe()
	stdout, fromAgent := io.Pipe()
	go echo(toAgent, fromAgent)
	c := remote.Pipe("h", stdin, stdout)
	var got string
	var events int
	if err := c.Call(t.Context(), "", "echo", "hello", &got, func(json.RawMessage) { events++ }); err != nil || got != "hello" || events != 1 {
		t.Errorf("%v %q, %d events", err, got, events)
	}
	if err := c.Call(t.Context(), "box", "bad", nil, nil, nil); err == nil || err.Error() != "box: it did not work" {
		t.Errorf("an agent's error became %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, "", "slow", nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that takes too long: %v", err)
	}
	go func() { _ = fromAgent.Close() }()
	if err := c.Call(t.Context(), "", "slow", nil, nil, nil); !errors.Is(err, remote.ErrGone) {
		t.Errorf("a host that vanished: %v", err)
	}
	if err := c.Call(t.Context(), "", "echo", nil, nil, nil); !errors.Is(err, remote.ErrGone) {
		t.Errorf("a host that has vanished: %v", err)
	}
}

// A host may be lost while what it tells waits for somebody slow, such as a terminal that was stopped: every call ends
// with an error that says so, and what was told before is heard.
func TestAHostIsLostWhileNobodyListens(t *testing.T) {
	const told = 200 // more than any queue holds
	for range 20 {
		toAgent, stdin := io.Pipe()
		stdout, fromAgent := io.Pipe()
		go func() {
			var r map[string]any
			_ = json.NewDecoder(toAgent).Decode(&r)
			for range told {
				_, _ = fmt.Fprintf(fromAgent, "{\"id\":%v,\"event\":{}}\n", r["id"])
			}
			_, _ = io.Copy(io.Discard, toAgent)
		}()
		c := remote.Pipe("h", stdin, stdout)
		blocked, heard := make(chan struct{}), make(chan struct{})
		ends := make(chan error, 2)
		go func() {
			var once sync.Once
			ends <- c.Call(t.Context(), "", "work", nil, nil, func(json.RawMessage) { once.Do(func() { close(blocked); <-heard }) })
		}()
		<-blocked
		remote.Break(c, errors.New("no answer to heartbeats"))
		close(heard)
		go func() { ends <- c.Call(t.Context(), "", "more", nil, nil, nil) }()
		for range 2 {
			select {
			case err := <-ends:
				if !errors.Is(err, remote.ErrGone) {
					t.Fatalf("a call to a lost host ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("a call to a lost host does not end")
			}
		}
	}
}

// server is an SSH server that runs commands here, with /usr/local/lib/jeroboam somewhere else.
type server struct {
	target remote.Target
	auth   remote.Auth
	dir    string
	conns  chan net.Conn
	deaf   atomic.Bool // it starts nothing more, and does not say so
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	hostKey, userKey := signer(t, filepath.Join(dir, "host")), signer(t, filepath.Join(dir, "id"))
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(userKey.PublicKey().Marshal()) {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	cfg.AddHostKey(hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{l.Addr().String()}, hostKey.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	s := &server{
		target: remote.Target{Name: "h", Address: "127.0.0.1", Port: n, User: "root"},
		auth:   remote.Auth{Keys: []string{filepath.Join(dir, "id")}, KnownHosts: []string{known}},
		dir:    dir, conns: make(chan net.Conn, 8),
	}
	go func() {
		for {
			tcp, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- tcp
			go s.serve(tcp, cfg)
		}
	}()
	return s
}

func signer(t *testing.T, path string) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) serve(tcp net.Conn, cfg *ssh.ServerConfig) {
	conn, chans, reqs, err := ssh.NewServerConn(tcp, cfg)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "")
			continue
		}
		c, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		go s.session(c, reqs)
	}
}

func (s *server) session(c ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var p struct{ Command string }
		_ = ssh.Unmarshal(r.Payload, &p)
		if s.deaf.Load() {
			continue
		}
		_ = r.Reply(true, nil)
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(p.Command, "/usr/local/lib/jeroboam", filepath.Join(s.dir, "lib")))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c, c, c.Stderr()
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		status := struct{ Code uint32 }{}
		if err != nil {
			status.Code = 1
		}
		_, _ = c.SendRequest("exit-status", false, ssh.Marshal(status))
		_ = c.Close()
		return
	}
}

// program is an agent in shell: it answers every line with "yes".
func program(t *testing.T) remote.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	script := "#!/bin/sh\n[ \"$2\" = --store ] && { echo ok; echo ok; echo no room; exec cat > \"${0%/*}/../got.$$\"; }\nn=0; while read -r line; do n=$((n+1)); echo \"{\\\"id\\\":$n,\\\"out\\\":\\\"yes\\\"}\"; done\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sha256sum", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return remote.Program{Path: path, Digest: strings.Fields(string(out))[0], Size: int64(len(script))}
}

func TestSSH(t *testing.T) {
	s := newServer(t)
	p := program(t)
	for range 2 { // the second time the program is there
		c, err := remote.Dial(t.Context(), s.target, s.auth, p)
		if err != nil {
			t.Fatal(err)
		}
		var answer string
		if err := c.Call(t.Context(), "", "x", nil, &answer, nil); err != nil || answer != "yes" {
			t.Errorf("%q %v", answer, err)
		}
		for _, text := range []string{"x", ""} { // through one agent
			if err := c.Upload(t.Context(), "sha256:0", strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		}
		if err := c.Upload(t.Context(), "sha256:0", strings.NewReader("y")); err == nil || err.Error() != "no room" {
			t.Errorf("the host had no room: %v", err)
		}
		_ = c.Close()
		_ = c.Close() // twice is once
	}
	const one = "sha256:0\n\x00\x00\x00\x01x\x00\x00\x00\x00sha256:0\n\x00\x00\x00\x00sha256:0\n\x00\x00\x00\x01y\x00\x00\x00\x00"
	var got string
	for range 500 { // the host writes it down when it likes
		received, _ := filepath.Glob(filepath.Join(s.dir, "got.*"))
		got = ""
		for _, f := range received {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got += string(text)
		}
		if got == one+one {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got != one+one {
		t.Errorf("the host got %q", got)
	}
	files, _ := filepath.Glob(filepath.Join(s.dir, "lib", "*"))
	if len(files) != 1 {
		t.Errorf("on the host: %v", files)
	}
}

func TestSSHRefusesADamagedProgram(t *testing.T) {
	s := newServer(t)
	p := program(t)
	p.Digest = strings.Repeat("0", 64)
	if _, err := remote.Dial(t.Context(), s.target, s.auth, p); err == nil {
		t.Error("a program that is not what it should be was started")
	}
}

func TestSSHNoticesALostConnection(t *testing.T) {
	s := newServer(t)
	c, err := remote.Dial(t.Context(), s.target, s.auth, program(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = (<-s.conns).Close()
	for range 100 {
		if err = c.Call(t.Context(), "", "x", nil, nil, nil); errors.Is(err, remote.ErrGone) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("calls go on after the connection was cut: %v", err)
}

func TestSSHChecksHosts(t *testing.T) {
	for _, tt := range []struct {
		reason string
		spoil  func(t *testing.T, s *server)
		want   string
	}{
		{"an unknown host", func(t *testing.T, s *server) {
			t.Helper()
			write(t, s.auth.KnownHosts[0], "other.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHn3vPjS0ZC6lLqVYfvBSh2f5W7wqDVkWVQ9bhqg3zv\n")
		}, "is not known"},
		{"another key", func(t *testing.T, s *server) {
			t.Helper()
			key := signer(t, filepath.Join(s.dir, "other"))
			write(t, s.auth.KnownHosts[0], knownhosts.Line([]string{fmt.Sprintf("127.0.0.1:%d", s.target.Port)}, key.PublicKey())+"\n")
		}, "is not the known one"},
		{"no file with keys of hosts", func(_ *testing.T, s *server) { s.auth.KnownHosts = []string{"/nowhere"} }, "log in once with ssh"},
		{"no key to log in with", func(_ *testing.T, s *server) { s.auth.Keys = []string{"/nowhere"} }, "no SSH key"},
		{"a key that is not accepted", func(t *testing.T, s *server) { t.Helper(); signer(t, s.auth.Keys[0]) }, "no key was accepted"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := newServer(t)
			tt.spoil(t, s)
			_, err := remote.Dial(t.Context(), s.target, s.auth, program(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "use of closed") {
				t.Errorf("it says how the connection ended: %v", err)
			}
		})
	}
}

// TestKeysThatAreNone: files that a user names must have keys, and all that have none are told.
func TestKeysThatAreNone(t *testing.T) {
	s := newServer(t)
	if err := remote.CheckKeys(s.auth.Keys); err != nil {
		t.Error(err)
	}
	public := filepath.Join(s.dir, "key.pub")
	write(t, public, "ssh-ed25519 AAAA somebody\n")
	err := remote.CheckKeys(append([]string{"/nowhere", public}, s.auth.Keys...))
	if err == nil || !strings.Contains(err.Error(), "/nowhere") || !strings.Contains(err.Error(), public) || strings.Contains(err.Error(), s.auth.Keys[0]) {
		t.Errorf("got %v", err)
	}
}

// TestALoginIsInterrupted: a host that takes connections and says nothing does not keep whoever gives up.
func TestALoginIsInterrupted(t *testing.T) {
	s := newServer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	taken := make(chan net.Conn, 1)
	go func() {
		if conn, err := silent.Accept(); err == nil {
			taken <- conn
		}
	}()
	s.target.Port = silent.Addr().(*net.TCPAddr).Port
	write(t, s.auth.KnownHosts[0], knownhosts.Line([]string{silent.Addr().String()}, signer(t, filepath.Join(s.dir, "other")).PublicKey())+"\n")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := remote.Dial(ctx, s.target, s.auth, program(t))
		failed <- err
	}()
	conn := <-taken
	defer func() { _ = conn.Close() }()
	cancel()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second): // half a minute is what a login may take
		t.Error("it goes on")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
