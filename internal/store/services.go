package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// serviceNumber is the annotation with a process's number. Magnum's are a table's row numbers, and clients show them:
// small, the first one 1, and the same as long as the lease lives.
const serviceNumber = "magnum.jeroboam.cloud/service-number"

func numberOf(l *coordinationv1.Lease) int64 {
	n, _ := strconv.ParseInt(l.Annotations[serviceNumber], 10, 32) // 0: it has none yet
	return max(n, 0)
}

// number finds the number for lease among all: its own, unless an older lease has the same, which two processes that
// started at once can bring about; else the next one after the greatest.
func number(lease *coordinationv1.Lease, all []coordinationv1.Lease) int64 {
	own, greatest := numberOf(lease), int64(0)
	for i := range all {
		other := &all[i]
		n := numberOf(other)
		greatest = max(greatest, n)
		if other.Name != lease.Name && n == own && before(other, lease) {
			own = 0
		}
	}
	if own == 0 {
		return greatest + 1
	}
	return own
}

func before(a, b *coordinationv1.Lease) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name)) < 0
}

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
		svc := magnum.Service{ID: numberOf(l), Binary: l.Labels[serviceLabel], CreatedAt: l.CreationTimestamp.UTC()}
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
	slices.SortFunc(out, func(a, b magnum.Service) int { return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.Host, b.Host)) })
	return out, nil
}

// Heartbeat says once that the process binary on host is alive. Whoever runs it repeats it well within the
// service_down_time (180 s).
func (s *Store) Heartbeat(ctx context.Context, host, binary string) error {
	all := &coordinationv1.LeaseList{}
	if err := s.client.List(ctx, all, client.InNamespace(v1alpha1.Namespace), client.HasLabels{serviceLabel}); err != nil {
		return fmt.Errorf("read heartbeats: %w", err)
	}
	name := "magnum-service." + binary + "." + labelValue(host)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.Namespace, Labels: map[string]string{serviceLabel: binary}},
	}
	at := slices.IndexFunc(all.Items, func(l coordinationv1.Lease) bool { return l.Name == name })
	if at >= 0 {
		lease = &all.Items[at]
	}
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	lease.Annotations[serviceNumber] = strconv.FormatInt(number(lease, all.Items), 10)
	count := int32(1)
	if lease.Spec.LeaseTransitions != nil {
		count += *lease.Spec.LeaseTransitions
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = &host, new(metav1.NewMicroTime(s.now()))
	lease.Spec.LeaseTransitions = &count
	var err error
	if at < 0 {
		err = s.client.Create(ctx, lease, kube.FieldOwner)
	} else {
		err = s.client.Update(ctx, lease, kube.FieldOwner)
	}
	if err != nil {
		return fmt.Errorf("heartbeat of %s: %w", binary, err)
	}
	return nil
}

// HeartbeatEvery is how often a process should say that it is alive: Magnum's report interval.
const HeartbeatEvery = time.Minute

// What nobody needs any more is taken away after these: services that do not answer, and names whose record was never
// stored.
const (
	forgetServiceAfter = time.Hour
	forgetNameAfter    = 10 * time.Minute
)

// Tidy takes away what processes that are gone have left: heartbeats, which would be shown as services that are down
// for ever, and reserved names without a cluster.
func (s *Store) Tidy(ctx context.Context) error {
	leases := &coordinationv1.LeaseList{}
	if err := s.client.List(ctx, leases, client.InNamespace(v1alpha1.Namespace)); err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for i := range leases.Items {
		l := &leases.Items[i]
		if gone, err := s.forgotten(ctx, l); err != nil || !gone {
			if err != nil {
				return err
			}
			continue
		}
		// Only as it was seen: its process may have come back.
		err := s.client.Delete(ctx, l, client.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("take away lease %s: %w", l.Name, err)
		}
	}
	return nil
}

func (s *Store) forgotten(ctx context.Context, l *coordinationv1.Lease) (bool, error) {
	if _, service := l.Labels[serviceLabel]; service {
		return l.Spec.RenewTime != nil && s.now().Sub(l.Spec.RenewTime.Time) > forgetServiceAfter, nil
	}
	if _, name := l.Labels[nameLabel]; !name || s.now().Sub(l.CreationTimestamp.Time) <= forgetNameAfter {
		return false, nil
	}
	err := s.client.Get(ctx, key(l.Labels[v1alpha1.LabelClusterUUID]), &v1alpha1.MagnumCluster{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, client.IgnoreNotFound(err)
}
