package management

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/gc"
	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
)

// loneWorkload is one workload cluster's API server without Cluster API and without nodes, for tests of what is applied
// into such clusters: every kind that Kubernetes has, with its validation, and the garbage collector.
type loneWorkload struct {
	Etcd      func() string
	Authority *pki.Authority
	File      string // where the kubeconfig goes

	server *workload.Server
	http   *http.Server
	gc     gc.Controllers
}

const loneName = "tests/lone"

// Start implements lifecycle.Component.
func (w *loneWorkload) Start(ctx context.Context, died func(error)) (err error) {
	w.server, err = workload.New(workload.Options{
		Etcd: w.Etcd(), Version: func(context.Context, string) string { return "" }, Changed: func(string, schema.GroupResource) {},
	})
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := w.Authority.Server("localhost")
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.Authority.CertPEM())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.server.ServeHTTP(rw, workload.Identify(r, loneName, "admin"))
	})}
	go func() {
		if err := w.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			died(err)
		}
	}()
	admin, err := w.Authority.Client("https://"+l.Addr().String(), "admin")
	if err != nil {
		return err
	}
	w.gc.Client = func() (*rest.Config, error) { return admin, nil }
	if err := w.gc.Start(ctx, died); err != nil {
		return err
	}
	return pki.WriteKubeconfig(w.File, "lone", admin)
}

// Stop implements lifecycle.Component.
func (w *loneWorkload) Stop(ctx context.Context) error {
	if w.http == nil {
		return nil
	}
	return errors.Join(w.gc.Stop(ctx), w.http.Close(), w.server.Close())
}
