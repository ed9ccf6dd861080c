package inmemory

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"reflect"
	"time"

	inmemoryruntime "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime"
	inmemoryserver "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/server"
)

// servers are the two HTTP servers inside Cluster API's WorkloadClustersMux.
type servers struct{ workload, debug *http.Server }

// newMux makes Cluster API's mux and closes what it leaves open: it listens on all interfaces, serves whoever comes,
// and has a debug server that shows every cluster's objects. It has no options for these, so its servers are changed
// before they serve; docs/decisions/0005 weighs that.
//
// Of what it serves, etcd and the way to it through the API server remain; all else is server's.
func newMux(manager inmemoryruntime.Manager, server http.Handler, o Options) (*inmemoryserver.WorkloadClustersMux, servers, error) {
	mux, err := inmemoryserver.NewWorkloadClustersMux(manager, host, inmemoryserver.CustomPorts{MinPort: o.Ports.Min, MaxPort: o.Ports.Max})
	if err != nil {
		return nil, servers{}, fmt.Errorf("make the workload API servers: %w", err)
	}
	s, err := serversOf(mux)
	if err != nil {
		return nil, servers{}, err
	}
	if err := s.debug.Close(); err != nil {
		return nil, servers{}, fmt.Errorf("close the debug server: %w", err)
	}
	a := &authenticator{clusters: mux, secrets: o.Secrets, now: time.Now, etcd: s.workload.Handler, api: server}
	guard(s.workload, a)
	s.workload.TLSConfig.GetCertificate = (&presenter{authenticator: a, theirs: s.workload.TLSConfig.GetCertificate}).certificate
	s.workload.ErrorLog = log.New(o.Log, "workload API server: ", log.LstdFlags)
	return mux, s, nil
}

// serversOf reaches the unexported fields. A test fails when a new version of Cluster API has other ones.
func serversOf(mux *inmemoryserver.WorkloadClustersMux) (s servers, err error) {
	for name, field := range map[string]**http.Server{"muxServer": &s.workload, "debugServer": &s.debug} {
		v := reflect.ValueOf(mux).Elem().FieldByName(name)
		if !v.IsValid() || v.Type() != reflect.TypeFor[http.Server]() {
			return s, fmt.Errorf("this version of Cluster API's WorkloadClustersMux has no http.Server in its field %s", name)
		}
		*field = (*http.Server)(v.Addr().UnsafePointer())
	}
	if s.workload.Handler == nil || s.workload.TLSConfig == nil {
		return s, fmt.Errorf("this version of Cluster API's WorkloadClustersMux sets its server up later than it is made")
	}
	return s, nil
}

// guard puts a in front of everything the server serves.
func guard(s *http.Server, a *authenticator) {
	s.Handler = a
	s.ConnContext = a.remember
	// Certificates are asked for, and judged with the request: the mux's own check of a new listener comes without one,
	// and an API server tells a client with a wrong one so, in words.
	s.TLSConfig.ClientAuth = tls.RequestClientCert
	s.TLSConfig.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if peer, ok := hello.Conn.RemoteAddr().(*net.TCPAddr); !ok || !peer.IP.IsLoopback() {
			return nil, fmt.Errorf("peer %s is not on this host", hello.Conn.RemoteAddr())
		}
		return nil, nil // the server's own
	}
}
