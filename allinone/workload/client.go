package workload

import (
	"bytes"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
)

// inProcess is the host of clients that are in this process; nobody looks it up.
const inProcess = "https://workload-clusters.invalid"

// Client is a way to a cluster without a connection, for what is in this process: it gets, lists and writes, and does
// not watch. name is who it says it is, and who managedFields say wrote.
func (s *Server) Client(cluster, name string) *rest.Config {
	c := &rest.Config{Host: inProcess, UserAgent: name, QPS: -1, Transport: direct{s, cluster, name}}
	c.ContentType = "application/vnd.kubernetes.protobuf"
	c.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return c
}

// Identify says who sent a request. Whoever it is may do everything.
func Identify(r *http.Request, cluster, name string, groups ...string) *http.Request {
	ctx := WithCluster(r.Context(), cluster)
	return r.WithContext(request.WithUser(ctx, &user.DefaultInfo{Name: name, Groups: append(groups, user.SystemPrivilegedGroup, user.AllAuthenticated)}))
}

// direct calls the server.
type direct struct {
	server        *Server
	cluster, name string
}

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &answer{header: http.Header{}, status: http.StatusOK}
	served := Identify(r, d.cluster, d.name)
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.RequestURI = r.URL.RequestURI()
	d.server.ServeHTTP(w, served)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answer collects what the server writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func parseVersion(v string) (*version.Version, error) { return version.ParseSemantic(v) }
