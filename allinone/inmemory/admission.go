package inmemory

import (
	"context"
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
)

const path = "/allinone-devcluster-port"

// WebhookConfiguration sends new DevClusters to the webhook that SetupWithManager serves at base.
func WebhookConfiguration(base string, ca []byte) *admissionv1.MutatingWebhookConfiguration {
	url, fail, none := base+path, admissionv1.Fail, admissionv1.SideEffectClassNoneOnDryRun
	return &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "allinone-ports"},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    "ports.allinone.jeroboam.cloud",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: &url, CABundle: ca},
			AdmissionReviewVersions: []string{"v1"},
			FailurePolicy:           &fail,
			SideEffects:             &none,
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{infrav1.GroupVersion.Group}, APIVersions: []string{infrav1.GroupVersion.Version}, Resources: []string{"devclusters"}},
			}},
		}},
	}
}

// SetupWithManager gives every new simulated cluster a port, and takes it back when the cluster is gone. Cluster API's
// mux counts up from the highest port it has seen in this process, which is another cluster's after a restart or
// another program's any time.
func (p *Ports) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(path, &webhook.Admission{Handler: admission.HandlerFunc(p.admit)})
	informer, err := mgr.GetCache().GetInformer(ctx, &infrav1.DevCluster{})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		if c, ok := o.(*infrav1.DevCluster); ok {
			p.Release(c.Spec.ControlPlaneEndpoint.Port)
		}
	}})
	return err
}

func (p *Ports) admit(_ context.Context, req admission.Request) admission.Response {
	c := &infrav1.DevCluster{}
	if err := json.Unmarshal(req.Object.Raw, c); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if c.Spec.Backend.InMemory == nil || c.Spec.ControlPlaneEndpoint.Port != 0 || req.DryRun != nil && *req.DryRun {
		return admission.Allowed("")
	}
	port, err := p.Take()
	if err != nil {
		return admission.Errored(http.StatusServiceUnavailable, err)
	}
	c.Spec.ControlPlaneEndpoint = infrav1.APIEndpoint{Host: host, Port: port}
	b, err := json.Marshal(c)
	if err != nil {
		p.Release(port)
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, b)
}
