package workload_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

func kubeconfig(t *testing.T, server string, ca []byte) []byte {
	t.Helper()
	type m = map[string]any
	cluster := m{"server": server}
	if ca != nil {
		cluster["certificate-authority-data"] = ca
	}
	text, err := yaml.Marshal(m{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{m{"name": "c", "cluster": cluster}}, "contexts": []any{m{"name": "c", "context": m{"cluster": "c", "user": "u"}}},
		"users": []any{m{"name": "u", "user": m{"token": "t"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// open makes a connection to a server that answers as h says.
func open(t *testing.T, h http.Handler) *workload.Cluster {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c, err := workload.Open(kubeconfig(t, s.URL, ca), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func configMaps() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
}

// An API server that answers with megabytes of error costs neither memory nor anybody's patience.
func TestLargeErrors(t *testing.T) {
	const size = 10 << 20
	var sent atomic.Int64
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		part := []byte(strings.Repeat("x", 32<<10))
		for range size / len(part) {
			n, err := w.Write(part)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Get(t.Context(), configMaps(), "kube-system", "x")
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("it was taken for an answer")
	}
	if n := len(err.Error()); n > 128<<10 {
		t.Errorf("the error has %d bytes", n)
	}
	// The server is in this process too: its buffers count.
	if used := after.TotalAlloc - before.TotalAlloc; used > size/2 {
		t.Errorf("%d bytes were allocated for one refusal", used)
	}
}

// An answer that has no end is one that is too long.
func TestEndlessAnswers(t *testing.T) {
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"APIVersions","versions":["`)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("v", 1<<20)); err != nil {
				return
			}
		}
	}))
	began := time.Now()
	_, err := c.Get(t.Context(), configMaps(), "kube-system", "x")
	if err == nil || time.Since(began) > workload.RequestTimeout {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// An API server that accepts and never answers costs one request's time.
func TestSilence(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
		}
	}()
	c, err := workload.Open(kubeconfig(t, fmt.Sprintf("https://%s", l.Addr()), nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	_, err = c.Get(t.Context(), configMaps(), "kube-system", "x")
	if took := time.Since(began); err == nil || took > 2*workload.RequestTimeout {
		t.Errorf("after %s: %v", took, err)
	}
}

// The same after the handshake: it goes on answering pings, and nothing else.
func TestSilenceAfterTheHandshake(t *testing.T) {
	t.Parallel()
	c := open(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	began := time.Now()
	_, err := c.Get(t.Context(), configMaps(), "kube-system", "x")
	if took := time.Since(began); err == nil || took > 2*workload.RequestTimeout {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestKubeconfigsThatAreNone(t *testing.T) {
	for reason, text := range map[string][]byte{
		"nothing": nil, "no YAML": []byte("\t"), "an authority that is no PEM": kubeconfig(t, "https://192.0.2.1", []byte("no PEM")),
	} {
		if _, err := workload.Open(text, nil); err == nil {
			t.Errorf("%s: it was taken", reason)
		}
	}
}
