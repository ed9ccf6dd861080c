package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// A rotation is three steps (capi.StepTrust and its kind). Each writes the authority's Secret, then has every machine
// replaced that must know of it: the control plane first, then workers where they have certificates or trust of that
// authority. What the Secret says is where the rotation is: it carries the step, so whoever is killed in between goes
// on there. Decision 0030 weighs it.

const (
	// rotationAnnotation is on an authority's Secret: "<generation of the request>.<step>".
	rotationAnnotation = "magnum.jeroboam.cloud/rotation"
	// settle is how long others may go on reading a Secret as it was, from their caches, before machines are made with it.
	settle = 10 * time.Second
)

// rotationSecretName is the Secret that holds both pairs while a rotation lasts.
func rotationSecretName(stackID string) string { return stackID + "-rotation" }

// rotation is one that is on its way.
type rotation struct {
	asked         v1alpha1.Rotation
	purpose       capi.Purpose
	before, after capi.KeyPair
	secret        *corev1.Secret // the authority's, as it is
	step          int            // that the Secret carries; 0: none of this rotation
	since         time.Time      // when the API server took the Secret as it is
}

func (t *rotation) marker() string { return fmt.Sprintf("%d.%d", t.asked.Generation, t.step) }

// workers tells whether workers are replaced in this step: they trust Kubernetes' authority and have certificates of
// it; tokens of their pods are signed by the key that signs after the second step.
func (t *rotation) workers() bool {
	return t.purpose == capi.CA || t.purpose == capi.ServiceAccount && t.step == capi.StepReissue
}

// rotate brings a rotation one step on when the one before is done.
func (r *Reconciler) rotate(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.stack.Cluster == nil || s.record.Spec.Rotation.Generation <= s.record.Status.Rotated {
		return phase.Done(), nil
	}
	t, err := r.readRotation(ctx, s)
	if err != nil {
		return phase.Done(), err
	}
	if t.step == 0 {
		return r.nextStep(ctx, s, t)
	}
	if rest := min(settle, t.since.Add(settle).Sub(r.Now())); rest > 0 {
		s.rotationLeft = s.left(t)
		return phase.WaitFor(rest, "Rotation of %s, step %d of %d: the Secret was written", t.asked.Authority, t.step, capi.StepRetire), nil
	}
	live := capi.RotationOf(s.stack.Cluster)
	s.rotation = &capi.Rotation{ControlPlane: t.marker(), Signer: t.signer(), Workers: live.Workers}
	if live.ControlPlane != t.marker() {
		if out, err := r.spread(ctx, s, t); err != nil || !out.Done() {
			s.rotation = nil
			return out, err
		}
	}
	s.rotationLeft = s.left(t)
	if s.rotating = s.unrolled(t, live); s.rotating != "" {
		s.rotating = fmt.Sprintf("Rotation of %s, step %d of %d: %s", t.asked.Authority, t.step, capi.StepRetire, s.rotating)
		return phase.Done(), nil
	}
	if t.step == capi.StepRetire {
		return phase.Done(), r.finish(ctx, s, t)
	}
	return r.nextStep(ctx, s, t)
}

// awaitRotation keeps the operation from being complete.
func (r *Reconciler) awaitRotation(_ context.Context, s *scope) (phase.Outcome, error) {
	if s.rotating != "" {
		return phase.WaitFor(settle, "%s", s.rotating), nil
	}
	return phase.Done(), nil
}

// signer is the one certificate that the controller manager signs with while ca.crt has two.
func (t *rotation) signer() string {
	switch {
	case t.purpose != capi.CA || t.step == capi.StepRetire:
		return ""
	case t.step == capi.StepTrust:
		return string(t.before.Certificate)
	}
	return string(t.after.Certificate)
}

// unrolled says which machines are still to be replaced in this step, and asks for workers when the control plane is
// done. A machine that was made after the Secret was written has what it says, whatever else is known of it.
func (s *scope) unrolled(t *rotation, live capi.Rotation) string {
	if live.ControlPlane != t.marker() || !s.observed.ControlPlaneAsks(t.marker()) {
		return "the control plane is asked for other machines"
	}
	version := s.stack.Cluster.Spec.Topology.Version
	for _, workers := range []bool{false, true} {
		if workers && !t.workers() {
			break
		}
		if workers && live.Workers != t.marker() {
			s.rotation.Workers = t.marker()
			return "the node groups are asked for other machines"
		}
		for _, g := range s.members {
			if workers == (g.Role == magnum.RoleMaster) {
				continue
			}
			if older, all := s.observed.OlderThan(g, t.since); older > 0 {
				return fmt.Sprintf("%d of %s of node group %s are still to be replaced", older, magnum.Count(all, "machine"), g.Name)
			}
			if p := s.observed.NodeGroupProgress(g, version); !p.Done {
				return "node group " + g.Name + ": " + p.Reason
			}
		}
	}
	return ""
}

// left counts the machines that are still to be made in this step and in those after it.
func (s *scope) left(t *rotation) int {
	left := 1
	for _, g := range s.members {
		older, all := s.observed.OlderThan(g, t.since)
		for step := t.step; step <= capi.StepRetire; step++ {
			n := all
			if step == t.step {
				n = older
			}
			if later := (&rotation{purpose: t.purpose, step: step}); g.Role == magnum.RoleMaster || later.workers() {
				left += n + 1
			}
		}
	}
	return left
}

// readRotation reads where a rotation is, and makes the new pair when there is none yet.
func (r *Reconciler) readRotation(ctx context.Context, s *scope) (*rotation, error) {
	t := &rotation{asked: s.record.Spec.Rotation}
	var known bool
	if t.purpose, known = capi.PurposeOf(magnum.Authority(t.asked.Authority)); !known {
		return nil, fmt.Errorf("rotation of %q: no such authority", t.asked.Authority)
	}
	name := capi.KeyPairSecretName(s.record.Spec.StackID, t.purpose)
	var err error
	if t.secret, err = r.secret(ctx, name); err != nil {
		return nil, err
	}
	if t.secret == nil || !s.owns(t.secret) {
		return nil, fmt.Errorf("the Secret %s of the cluster's authority is gone", name)
	}
	generation, step, _ := strings.Cut(t.secret.Annotations[rotationAnnotation], ".")
	if generation == strconv.FormatInt(t.asked.Generation, 10) {
		if t.step, err = strconv.Atoi(step); err != nil || t.step < capi.StepTrust || t.step > capi.StepRetire {
			return nil, fmt.Errorf("the Secret %s has the annotation %s %q, which Jeroboam did not write", name, rotationAnnotation, t.secret.Annotations[rotationAnnotation])
		}
	}
	t.since = written(t.secret)
	return t, r.pairs(ctx, s, t)
}

// written is when the API server last took a Secret from us: its clock is also that of machines.
func written(secret *corev1.Secret) time.Time {
	at := secret.CreationTimestamp.Time
	for _, m := range secret.ManagedFields {
		if m.Manager == string(kube.FieldOwner) && m.Time != nil && m.Time.After(at) {
			at = m.Time.Time
		}
	}
	return at
}

// pairs reads both pairs, or puts them down before anything is done with them.
func (r *Reconciler) pairs(ctx context.Context, s *scope, t *rotation) error {
	name := rotationSecretName(s.record.Spec.StackID)
	kept, err := r.secret(ctx, name)
	if err != nil {
		return err
	}
	if kept != nil && kept.Annotations[rotationAnnotation] != strconv.FormatInt(t.asked.Generation, 10) {
		// One of which nothing has been written can go. Of any other it is all that can end it: the API takes no request
		// meanwhile.
		begun := !bytes.Equal(kept.Data["before.crt"], t.secret.Data[corev1.TLSCertKey])
		if t.step != 0 || !s.owns(kept) || begun {
			return fmt.Errorf("the Secret %s belongs to another rotation, which is not finished", name)
		}
		if err := r.Client.Delete(ctx, kept); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s: %w", name, err)
		}
		kept = nil
	}
	if kept == nil && t.step == capi.StepRetire { // this was the last thing to go
		t.after = capi.KeyPair{Certificate: t.secret.Data[corev1.TLSCertKey], Key: t.secret.Data[corev1.TLSPrivateKeyKey]}
		return nil
	}
	if kept == nil {
		if t.step != 0 {
			return fmt.Errorf("the Secret %s, which holds the pairs of the rotation, is gone: restore it from a backup of the management cluster", name)
		}
		if kept, err = r.keepPairs(ctx, s, t, name); err != nil {
			return err
		}
	}
	t.before = capi.KeyPair{Certificate: kept.Data["before.crt"], Key: kept.Data["before.key"]}
	t.after = capi.KeyPair{Certificate: kept.Data["after.crt"], Key: kept.Data["after.key"]}
	return nil
}

func (r *Reconciler) keepPairs(ctx context.Context, s *scope, t *rotation, name string) (*corev1.Secret, error) {
	after, err := capi.NewKeyPair(r.Rand, r.Now(), s.words, t.purpose)
	if err != nil {
		return nil, err
	}
	kept := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: v1alpha1.Namespace, Labels: map[string]string{v1alpha1.LabelClusterUUID: s.record.Name},
			Annotations: map[string]string{rotationAnnotation: strconv.FormatInt(t.asked.Generation, 10)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion().String(), Kind: "MagnumCluster", Name: s.record.Name, UID: s.record.UID,
			}},
		},
		Data: map[string][]byte{
			"before.crt": t.secret.Data[corev1.TLSCertKey], "before.key": t.secret.Data[corev1.TLSPrivateKeyKey],
			"after.crt": after.Certificate, "after.key": after.Key,
		},
	}
	if err := r.Client.Create(ctx, kept, kube.FieldOwner); err != nil {
		return nil, fmt.Errorf("store %s: %w", name, err)
	}
	return kept, nil
}

// nextStep writes the authority's Secret for the step after this one.
func (r *Reconciler) nextStep(ctx context.Context, s *scope, t *rotation) (phase.Outcome, error) {
	t.step++
	pair := capi.PairAt(t.step, t.before, t.after)
	next := t.secret.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, rotationAnnotation, t.marker())
	next.Data[corev1.TLSCertKey], next.Data[corev1.TLSPrivateKeyKey] = pair.Certificate, pair.Key
	if err := r.Client.Update(ctx, next, kube.FieldOwner); err != nil { // only if it is as it was read
		if apierrors.IsConflict(err) {
			return phase.Done(), err
		}
		return phase.Done(), fmt.Errorf("write %s: %w", next.Name, err)
	}
	t.since = written(next)
	s.rotationLeft, s.rotation = s.left(t), nil
	r.event(s, "Rotation", "rotation of %s, step %d of %d", t.asked.Authority, t.step, capi.StepRetire)
	return phase.WaitFor(settle, "Rotation of %s, step %d of %d: the Secret was written", t.asked.Authority, t.step, capi.StepRetire), nil
}

// finish takes away what only the rotation needed; the old private key among it.
func (r *Reconciler) finish(ctx context.Context, s *scope, t *rotation) error {
	if err := r.forgetTrust(ctx, s, t); err != nil {
		return err
	}
	kept := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: rotationSecretName(s.record.Spec.StackID), Namespace: v1alpha1.Namespace}}
	if err := r.Client.Delete(ctx, kept); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s: %w", kept.Name, err)
	}
	s.record.Status.Rotated, s.rotation, s.rotationLeft = t.asked.Generation, nil, 0
	r.event(s, "Rotated", "%s was rotated: what the old one signed is refused", t.asked.Authority)
	return nil
}

// trusted is what clients of the API server trust in a step: the same in the first two.
func (t *rotation) trusted() []byte {
	if t.step == capi.StepRetire {
		return t.after.Certificate
	}
	return capi.PairAt(capi.StepTrust, t.before, t.after).Certificate
}
