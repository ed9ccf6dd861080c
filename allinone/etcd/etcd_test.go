package etcd_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
)

func connect(t *testing.T, s *etcd.Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // longer than a socket's path may be
	for _, want := range []string{"", "v"} {
		s := &etcd.Server{Dir: dir, Log: &bytes.Buffer{}}
		if err := s.Start(t.Context(), func(err error) { t.Log("died:", err) }); err != nil {
			t.Fatal(err)
		}
		c := connect(t, s)
		res, err := c.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, kv := range res.Kvs {
			got = string(kv.Value)
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := c.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %s, %v", st.Mode(), err)
	}
}

// TestFullDisk fills the disk under a running member. It needs a small file system of its own, and that needs root.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=140m"); err != nil {
		t.Skipf("no small file system to be had here: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	died := make(chan error, 1)
	s := &etcd.Server{Dir: filepath.Join(dir, "etcd"), Log: &bytes.Buffer{}}
	if err := s.Start(t.Context(), func(err error) {
		select {
		case died <- err:
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	acknowledged := 0
	value := strings.Repeat("x", 1<<20)
	for n := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := c.Put(ctx, "big", value)
		cancel()
		if err != nil {
			break
		}
		acknowledged = n
	}
	select {
	case err := <-died:
		if !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("the reason must be told, got %v", err)
		}
		t.Logf("after %d MB: %v", acknowledged, err)
	case <-time.After(time.Minute):
		t.Errorf("a member that cannot write must say so")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stopping: %v", err)
	}
}
