package workload

import (
	"net/http"
	"strings"
	"sync"

	apiextensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/routes"
	aggregatoropenapi "k8s.io/kube-aggregator/pkg/generated/openapi"
	openapicommon "k8s.io/kube-openapi/pkg/common"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
)

// openAPI is what kubectl checks files against before it sends them, old ones in the second version and newer ones in
// the third. It is made when somebody asks: it is large, and most clusters are never asked. It has no custom resources,
// which kubectl then does not check.
type openAPI struct {
	server *genericapiserver.GenericAPIServer
	v2     *openapicommon.Config
	v3     *openapicommon.OpenAPIV3Config

	second, third sync.Once
}

// serve makes what is asked for, and lets native answer.
func (o *openAPI) serve(native http.Handler, w http.ResponseWriter, r *http.Request) {
	container, mux := o.server.Handler.GoRestfulContainer, o.server.Handler.NonGoRestfulMux
	if strings.HasPrefix(r.URL.Path, "/openapi/v2") {
		o.second.Do(func() { routes.OpenAPI{Config: o.v2}.InstallV2(container, mux) })
	} else {
		o.third.Do(func() { routes.OpenAPI{V3Config: o.v3}.InstallV3(container, mux) })
	}
	native.ServeHTTP(w, r)
}

// models are the kinds of all API groups that are served.
func models(ref openapicommon.ReferenceCallback) map[string]openapicommon.OpenAPIDefinition {
	all := generatedopenapi.GetOpenAPIDefinitions(ref)
	for _, more := range []openapicommon.GetOpenAPIDefinitions{apiextensionsopenapi.GetOpenAPIDefinitions, aggregatoropenapi.GetOpenAPIDefinitions} {
		for name, d := range more(ref) {
			if _, ok := all[name]; !ok {
				all[name] = d
			}
		}
	}
	return all
}
