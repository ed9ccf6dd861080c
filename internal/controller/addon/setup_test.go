package addon

import (
	"log/slog"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// The server has kube's scheme and no other, and a management cluster that runs pods asks for more watches than one
// that does not: all of them can be set up.
func TestSetupWherePodsRun(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	served := meta.NewDefaultRESTMapper(nil)
	for kind := range scheme.AllKnownTypes() {
		served.Add(kind, meta.RESTScopeNamespace)
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://192.0.2.1"}, ctrl.Options{ // nobody is asked before it starts
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return served, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Log: slog.New(slog.DiscardHandler), Concurrency: 1}
	if err := r.Setup(mgr); err != nil {
		t.Fatal(err)
	}
	if !r.pods {
		t.Error("the API server serves Deployments, and is taken for one that runs no pods")
	}
}
