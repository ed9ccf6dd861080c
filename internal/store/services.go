package store

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// serviceLabel marks the leases by which our processes say that they are alive; its value is Magnum's binary name.
const serviceLabel = "magnum.jeroboam.cloud/service"

// Services lists our processes, for those who may see all projects.
func (s *Store) Services(ctx context.Context, g policy.Grant) ([]magnum.Service, error) {
	if !g.AllProjects() {
		return nil, nil
	}
	leases := &coordinationv1.LeaseList{}
	if err := s.client.List(ctx, leases, client.InNamespace(v1alpha1.Namespace), client.HasLabels{serviceLabel}); err != nil {
		return nil, refusal(err, "read")
	}
	out := []magnum.Service{}
	for i := range leases.Items {
		l := &leases.Items[i]
		svc := magnum.Service{ID: recordID(l), Binary: l.Labels[serviceLabel], CreatedAt: l.CreationTimestamp.UTC()}
		if l.Spec.HolderIdentity != nil {
			svc.Host = *l.Spec.HolderIdentity
		}
		if l.Spec.RenewTime != nil {
			svc.LastSeen = l.Spec.RenewTime.UTC()
		}
		if l.Spec.LeaseTransitions != nil {
			svc.ReportCount = int(*l.Spec.LeaseTransitions)
		}
		out = append(out, svc)
	}
	return out, nil
}

// Heartbeat says once that the process binary on host is alive. Whoever runs it repeats it well within the
// service_down_time (180 s).
func (s *Store) Heartbeat(ctx context.Context, host, binary string) error {
	name := "magnum-service." + binary + "." + labelValue(host)
	now := metav1.NewMicroTime(s.now())
	lease := &coordinationv1.Lease{}
	err := s.client.Get(ctx, key(name), lease)
	if apierrors.IsNotFound(err) {
		count := int32(1)
		lease = &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.Namespace, Labels: map[string]string{serviceLabel: binary}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &host, RenewTime: &now, LeaseTransitions: &count},
		}
		if err := s.client.Create(ctx, lease, kube.FieldOwner); err != nil {
			return fmt.Errorf("first heartbeat of %s: %w", binary, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read heartbeat of %s: %w", binary, err)
	}
	count := int32(1)
	if lease.Spec.LeaseTransitions != nil {
		count += *lease.Spec.LeaseTransitions
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseTransitions = &host, &now, &count
	if err := s.client.Update(ctx, lease, kube.FieldOwner); err != nil {
		return fmt.Errorf("heartbeat of %s: %w", binary, err)
	}
	return nil
}

// HeartbeatEvery is how often a process should say that it is alive: Magnum's report interval.
const HeartbeatEvery = time.Minute
