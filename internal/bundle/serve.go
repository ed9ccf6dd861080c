package bundle

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// ServeOptions say where and as whom a bundle is served.
type ServeOptions struct {
	Listen            string
	CertFile, KeyFile string // both empty: an authority is made for this run
	Now               func() time.Time
	// Ready is told the address that is listened on, and the certificate of the authority if one was made.
	Ready func(address string, ca []byte) error
}

// Handler serves a bundle: images under /v2/, files under /files/, the list as /bundle.json. Below "magnum/" images
// have the names that a workload cluster asks for when its container_infra_prefix is "<address>/magnum".
func (b *Bundle) Handler() (http.Handler, error) {
	layout, err := b.Images()
	if err != nil {
		return nil, err
	}
	images, err := registry.Handler(layout, b.served)
	if err != nil {
		return nil, err
	}
	files, err := os.OpenRoot(filepath.Join(b.Dir, "files"))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", images)
	mux.Handle("/v2", images)
	mux.Handle("GET /files/", http.StripPrefix("/files/", http.FileServerFS(files.FS())))
	mux.HandleFunc("GET /"+indexFile+sign.Suffix, func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(b.Dir, indexFile+sign.Suffix))
	})
	mux.HandleFunc("GET /"+indexFile, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		http.ServeContent(w, r, indexFile, time.Time{}, bytes.NewReader(b.text))
	})
	return mux, nil
}

// served are the names that an image has beside its own.
func (b *Bundle) served(reference string) []string {
	names := []string{reference}
	for _, i := range b.Index.Images {
		if i.Reference == reference {
			names = append(names, i.Aliases...)
		}
	}
	out := names[1:]
	for _, n := range names {
		if name, err := registry.MagnumName(n); err == nil {
			out = append(out, "magnum/"+name)
		}
	}
	return out
}

// Serve serves a bundle over TLS until the context ends.
func (b *Bundle) Serve(ctx context.Context, o ServeOptions) error {
	handler, err := b.Handler()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	cert, ca, err := o.certificate()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(closing) // Serve returns either way
	})
	defer stop()
	if o.Ready != nil {
		if err := o.Ready(listener.Addr().String(), ca); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	secure := tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err := server.Serve(secure); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (o ServeOptions) certificate() (cert tls.Certificate, ca []byte, err error) {
	if o.CertFile != "" || o.KeyFile != "" {
		cert, err = tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			err = fmt.Errorf("serve: certificate: %w", err)
		}
		return cert, nil, err
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return cert, nil, fmt.Errorf("serve: %w", err)
	}
	authority, err := pki.NewCA(rand.Reader, o.Now(), "jeroboam bundle")
	if err != nil {
		return cert, nil, fmt.Errorf("serve: %w", err)
	}
	made, err := pki.NewServer(authority, []string{host, "localhost", "127.0.0.1"}, pki.Options{Random: rand.Reader, Now: o.Now()})
	if err != nil {
		return cert, nil, fmt.Errorf("serve: %w", err)
	}
	cert, err = tls.X509KeyPair(made.CertPEM, made.KeyPEM)
	return cert, authority.CertPEM, err
}
