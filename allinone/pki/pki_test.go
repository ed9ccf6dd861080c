package pki_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
)

func TestOpenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	a, err := pki.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pki.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.CertPEM(), b.CertPEM()) {
		t.Error("the authority must outlive the process")
	}
	// A start that was killed before the certificate was written leaves a key only.
	if err := os.Remove(a.CertFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Open(dir); err != nil {
		t.Error(err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if i, _ := e.Info(); i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", e.Name(), i.Mode())
		}
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	a, err := pki.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := a.Client("https://127.0.0.1:6443", "admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := pki.WriteKubeconfig(path, "management", cfg); err != nil {
		t.Fatal(err)
	}
	got, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != cfg.Host || !bytes.Equal(got.CertData, cfg.CertData) || !bytes.Equal(got.CAData, a.CertPEM()) {
		t.Errorf("got %+v", got)
	}
}
