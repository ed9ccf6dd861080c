package netns_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDialRefuses is what can be seen of dialling without a namespace of one's own; the rest is in test/e2e/proxy.
func TestDialRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "qdhcp-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := netns.NewDialer(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	to := netip.MustParseAddrPort("192.0.2.1:6443")
	for _, name := range []string{"", "qdhcp-none", "../qdhcp-file", "a/b"} {
		if _, err := d.Dial(t.Context(), name, to, time.Second); !errors.Is(err, netns.ErrNoNamespace) {
			t.Errorf("%q: %v, want %v", name, err, netns.ErrNoNamespace)
		}
	}
	// A file that no namespace is mounted on: with the capability setns says so, without it says that.
	if _, err := d.Dial(t.Context(), "qdhcp-file", to, time.Second); err == nil {
		t.Error("connected inside a file")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Dial(ctx, "qdhcp-none", to, time.Second); err == nil {
		t.Error("connected after the end")
	}
}

// TestDirectory: files that are no namespaces are none, however long they are looked at, and a directory may come late.
func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "netns")
	changed := make(chan struct{}, 100)
	d, err := netns.NewDirectory(dir, slog.New(slog.DiscardHandler), func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "qdhcp-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if got := d.Find("1"); len(got) != 0 || d.Len() != 0 {
		t.Errorf("a plain file counts as a namespace: %v", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
