package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// chain is what a request passes before it is handled: kube-apiserver's filters, without those that ask who somebody
// is, whether he may, and how many there are.
func (s *Server) chain(handler http.Handler, c *genericapiserver.Config) http.Handler {
	handler = s.route(handler)
	handler = genericapifilters.WithWarningRecorder(handler)
	handler = genericapifilters.WithCacheControl(handler)
	handler = genericapifilters.WithRequestInfo(handler, c.RequestInfoResolver)
	handler = genericapifilters.WithRequestReceivedTimestamp(handler)
	handler = genericfilters.WithPanicRecovery(handler, c.RequestInfoResolver)
	return genericapifilters.WithAuditInit(handler)
}

// route sends a request to where it is handled: what all clusters have goes to native.
func (s *Server) route(native http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok {
			fail(w, r, errors.New("no information about the request"))
			return
		}
		switch {
		case info.IsResourceRequest && !s.nativeGroup(info.APIGroup):
			s.serveCustom(w, r, info)
		case !info.IsResourceRequest && (r.URL.Path == "/apis" || strings.HasPrefix(r.URL.Path, "/apis/")):
			s.serveDiscovery(native, w, r)
		case strings.HasPrefix(r.URL.Path, "/openapi/"):
			s.models.serve(native, w, r)
		case info.Path == "/version":
			s.serveVersion(w, r)
		case info.Path == "/healthz" || info.Path == "/livez" || info.Path == "/readyz":
			_, _ = w.Write([]byte("ok"))
		default:
			native.ServeHTTP(w, r)
		}
	})
}

func (s *Server) nativeGroup(name string) bool {
	return s.native[name]
}

func (s *Server) serveCustom(w http.ResponseWriter, r *http.Request, info *request.RequestInfo) {
	set, err := s.custom.of(r.Context())
	if err != nil {
		fail(w, r, err)
		return
	}
	d := set.byName[info.Resource+"."+info.APIGroup]
	if d == nil {
		http.NotFound(w, r)
		return
	}
	d.handler.ServeHTTP(w, r)
}

func (s *Server) serveDiscovery(native http.Handler, w http.ResponseWriter, r *http.Request) {
	set, err := s.custom.of(r.Context())
	if err != nil {
		fail(w, r, err)
		return
	}
	catalog, err := s.custom.catalog(set)
	if err != nil {
		fail(w, r, err)
		return
	}
	if catalog == nil || !catalog.serve(w, r) {
		native.ServeHTTP(w, r)
	}
}

func (s *Server) serveVersion(w http.ResponseWriter, r *http.Request) {
	cluster, err := clusterOf(r.Context())
	if err != nil {
		fail(w, r, err)
		return
	}
	info := s.generic.EffectiveVersion.Info()
	if v := s.opts.Version(r.Context(), cluster); v != "" {
		if info, err = versionOf(v); err != nil {
			fail(w, r, fmt.Errorf("version of cluster %s: %w", cluster, err))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(info)
}

// fail answers with a status 500 as an API server would.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	responsewriters.ErrorNegotiated(apierrors.NewInternalError(err), legacyscheme.Codecs, schema.GroupVersion{}, w, r)
}
