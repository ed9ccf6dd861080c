package inmemory

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"

	inmemoryserver "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/server"

	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
)

// authenticator lets in who shows a client certificate of the cluster whose port the request arrived on: signed by the
// cluster's authority for API requests, by its etcd authority for etcd requests. Everyone else is answered as an API
// server would.
//
// A verdict is kept with the connection and holds as long as the authority's Secret is the same.
type authenticator struct {
	etcd     http.Handler // Cluster API's: etcd, and port forwards to it
	api      http.Handler // everything else, for a request of [workload.Identify]
	clusters *inmemoryserver.WorkloadClustersMux
	secrets  client.Reader
	now      func() time.Time

	names sync.Map // port -> name of the cluster, checked against clusters at every use
}

func (a *authenticator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	grpc := r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		refuse(w, grpc)
		return
	}
	purpose := secret.ClusterCA
	if grpc {
		purpose = secret.EtcdCA
	} else {
		// The mux finds the cluster by the Host header, and dials it to forward ports: a client of one cluster could name
		// another. (In etcd requests it is the member, and the mux finds the cluster by the port as we do.)
		r.Host = local.String()
	}
	cluster, err := a.authenticate(r, local.Port, purpose)
	if err != nil {
		refuse(w, grpc)
		return
	}
	if grpc || strings.HasSuffix(r.URL.Path, "/portforward") {
		a.etcd.ServeHTTP(w, r)
		return
	}
	if outdated(r.Context()) {
		w.Header().Set("Connection", "close")
	}
	subject := r.TLS.PeerCertificates[0].Subject
	a.api.ServeHTTP(w, workload.Identify(r, cluster.String(), subject.CommonName, subject.Organization...))
}

// verdicts are what a connection was allowed: the version of the authority's Secret that its certificate was checked
// against.
type verdicts struct {
	mu sync.Mutex
	by map[secret.Purpose]string
	// signer is the authority that signed when the connection was made. API servers of another one are others, on other
	// machines: what speaks to those of before is sent away, as it is when their machines go.
	signer   string
	outdated bool
}

func outdated(ctx context.Context) bool {
	known, _ := ctx.Value(verdictsKey{}).(*verdicts)
	if known == nil {
		return false
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	return known.outdated
}

type verdictsKey struct{}

// remember gives a new connection its memory (http.Server.ConnContext).
func (a *authenticator) remember(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, verdictsKey{}, &verdicts{by: map[secret.Purpose]string{}})
}

func (a *authenticator) authenticate(r *http.Request, port int, purpose secret.Purpose) (cluster types.NamespacedName, err error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return cluster, errors.New("no client certificate")
	}
	if cluster, err = a.cluster(port); err != nil {
		return cluster, err
	}
	ca := &corev1.Secret{}
	key := types.NamespacedName{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, purpose)}
	if err := a.secrets.Get(r.Context(), key, ca); err != nil {
		return cluster, fmt.Errorf("read the authority of cluster %s: %w", cluster, err)
	}
	version := string(ca.UID) + "/" + ca.ResourceVersion
	known, _ := r.Context().Value(verdictsKey{}).(*verdicts)
	if known != nil {
		known.mu.Lock()
		defer known.mu.Unlock()
		if known.by[purpose] == version {
			return cluster, nil
		}
	}
	if err := verify(r.TLS.PeerCertificates, ca.Data[secret.TLSCrtDataName], a.now()); err != nil {
		return cluster, err
	}
	if known != nil {
		known.by[purpose] = version
		if signer, _ := pem.Decode(ca.Data[secret.TLSCrtDataName]); purpose == secret.ClusterCA && signer != nil {
			known.outdated = known.signer != "" && known.signer != string(signer.Bytes)
			known.signer = cmp.Or(known.signer, string(signer.Bytes))
		}
	}
	return cluster, nil
}

func verify(chain []*x509.Certificate, authority []byte, now time.Time) error {
	roots, rest := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("the cluster's authority has no certificate")
	}
	for _, c := range chain[1:] {
		rest.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: rest, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// cluster finds the cluster that is served on a port. The mux calls them namespace/name.
func (a *authenticator) cluster(port int) (types.NamespacedName, error) {
	name, _ := a.names.Load(port)
	if name == nil || !a.servedOn(name.(string), port) {
		name = nil
		for n, address := range a.clusters.ListListeners() {
			address, _, _ = strings.Cut(address, " ") // " (stopped)"
			if strings.HasSuffix(address, fmt.Sprintf(":%d", port)) {
				name = n
			}
		}
		if name == nil {
			return types.NamespacedName{}, fmt.Errorf("no cluster is served on port %d", port)
		}
		a.names.Store(port, name)
	}
	ns, n, _ := strings.Cut(name.(string), "/")
	return types.NamespacedName{Namespace: ns, Name: n}, nil
}

func (a *authenticator) servedOn(name string, port int) bool {
	info := a.clusters.GetCluster(name)
	return info != nil && int(info.Port) == port
}

func refuse(w http.ResponseWriter, grpc bool) {
	if grpc {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "16") // unauthenticated
		w.Header().Set("Grpc-Message", "Unauthorized")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}` + "\n"))
}
