// Package simmachines lets the simulated cloud decide what becomes of each simulated machine.
//
// Cluster API's in-memory provider makes a machine whenever it is asked to. A cloud may need time for it, or refuse. So
// a webhook asks a [Scheduler] before a DevMachine is stored, and writes the verdict into it:
//
//	Delay   how long the machine takes to start: spec.backend.inMemory.vm.provisioning.startupDuration
//	Fail    the machine never comes: it is paused, so that the provider leaves it alone, and its Ready condition says
//	        why. The core Machine controller copies that into the Machine's InfrastructureReady condition.
//
// A small controller keeps the condition, lets a failed machine be deleted, and tells the scheduler of machines that
// are gone.
package simmachines

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
)

// The annotations that a DevMachineTemplate gives its machines.
const (
	FlavorAnnotation = "jeroboam.cloud/flavor"
	ImageAnnotation  = "jeroboam.cloud/image"
)

// failureAnnotation holds the reason of a machine that never comes.
const failureAnnotation = "allinone.jeroboam.cloud/failure"

// Scheduler decides about machines. The simulated cloud is one.
type Scheduler interface {
	// Schedule is asked once for every new machine. After a restart it is told of the machines that are there (Existing);
	// it cannot change their fate, and the verdict is ignored.
	Schedule(ctx context.Context, r Request) Verdict
	// Release is told of every machine that is gone, at least once.
	Release(ctx context.Context, name string)
	// Names are the machines that it believes to be there.
	Names(ctx context.Context) []string
}

// Request describes a machine.
type Request struct {
	Cluster      string // name of the Cluster
	Name         string // of the machine, unique among all clusters
	Flavor       string // from FlavorAnnotation
	Image        string // from ImageAnnotation
	ControlPlane bool

	Existing bool   // it was scheduled by an earlier process
	Failure  string // it is an existing one that never came, for this reason
}

// Verdict is what becomes of a machine.
type Verdict struct {
	Delay time.Duration // it comes after this time
	Fail  string        // unless empty: it never comes, for this reason
}

const path = "/allinone-devmachine-schedule"

// WebhookConfiguration sends new DevMachines to the webhook that SetupWithManager serves at base.
func WebhookConfiguration(base string, ca []byte) *admissionv1.MutatingWebhookConfiguration {
	url, fail, none := base+path, admissionv1.Fail, admissionv1.SideEffectClassNoneOnDryRun
	return &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "allinone-machines"},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    "machines.allinone.jeroboam.cloud",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: &url, CABundle: ca},
			AdmissionReviewVersions: []string{"v1"},
			FailurePolicy:           &fail,
			SideEffects:             &none,
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{infrav1.GroupVersion.Group}, APIVersions: []string{infrav1.GroupVersion.Version}, Resources: []string{"devmachines"}},
			}},
		}},
	}
}

// SetupWithManager adds the webhook and the controller.
func SetupWithManager(_ context.Context, mgr ctrl.Manager, s Scheduler) error {
	r := &reconciler{client: mgr.GetClient(), scheduler: s}
	mgr.GetWebhookServer().Register(path, &webhook.Admission{Handler: admission.HandlerFunc(r.admit)})
	if err := ctrl.NewControllerManagedBy(mgr).Named("simmachines").For(&infrav1.DevMachine{}).Complete(r); err != nil {
		return fmt.Errorf("add the controller of simulated machines: %w", err)
	}
	live := mgr.GetAPIReader()
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.sweep(ctx, live) }))
}

// admit asks the scheduler about a new machine.
func (r *reconciler) admit(ctx context.Context, req admission.Request) admission.Response {
	m := &infrav1.DevMachine{}
	if err := json.Unmarshal(req.Object.Raw, m); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if m.Spec.Backend.InMemory == nil || req.DryRun != nil && *req.DryRun {
		return admission.Allowed("")
	}
	r.known.Store(m.Name, true)
	r.admitted.Store(m.Name, true)
	apply(m, r.scheduler.Schedule(ctx, request(m)))
	r.lookLater(m)
	b, err := json.Marshal(m)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, b)
}

// storedWithin is how long the API server may take from asking the webhook to having stored the machine.
const storedWithin = 30 * time.Second

// lookLater lets go of a machine that was admitted and then never stored, of which no event ever tells.
func (r *reconciler) lookLater(m *infrav1.DevMachine) {
	key := client.ObjectKeyFromObject(m)
	time.AfterFunc(storedWithin, func() {
		ctx, cancel := context.WithTimeout(context.Background(), storedWithin)
		defer cancel()
		_, _ = r.Reconcile(ctx, ctrl.Request{NamespacedName: key}) // an error: the process is ending, and the next one sweeps
	})
}

func request(m *infrav1.DevMachine) Request {
	_, controlPlane := m.Labels[clusterv1.MachineControlPlaneLabel]
	return Request{
		Cluster: m.Labels[clusterv1.ClusterNameLabel], Name: m.Name, Flavor: m.Annotations[FlavorAnnotation],
		Image: m.Annotations[ImageAnnotation], ControlPlane: controlPlane,
	}
}

func apply(m *infrav1.DevMachine, v Verdict) {
	if v.Fail != "" {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[clusterv1.PausedAnnotation] = "true"
		m.Annotations[failureAnnotation] = v.Fail
		return
	}
	if v.Delay > 0 {
		if m.Spec.Backend.InMemory.VM == nil {
			m.Spec.Backend.InMemory.VM = &infrav1.InMemoryVMSpec{}
		}
		m.Spec.Backend.InMemory.VM.Provisioning.StartupDuration = metav1.Duration{Duration: v.Delay}
	}
}
