package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// policy lets one of two pods in. Both are in before, and after: a connection that never worked proves nothing.
func (r *run) policy(ctx context.Context) (string, error) {
	guarded := r.pod("guarded", map[string]string{"app": "guarded"})
	serves(&guarded.Spec)
	friend := r.pod("friend", map[string]string{"app": "client", "friend": "yes"}, "pause")
	stranger := r.pod("stranger", map[string]string{"app": "client"}, "pause")
	if err := r.createPods(ctx, guarded, friend, stranger); err != nil {
		return "", err
	}
	pods, err := r.ready(ctx, 3*time.Minute, "app in (guarded,client)", 3)
	if err != nil {
		return "", err
	}
	var to string
	for _, p := range pods {
		if p.Name == "guarded" {
			to = net.JoinHostPort(p.Status.PodIP, "8080")
		}
	}
	if err := r.lets(ctx, to, true, true); err != nil {
		return "", fmt.Errorf("before there is a policy: %w", err)
	}
	tcp, http := corev1.ProtocolTCP, port(8080)
	_, err = r.kube.NetworkingV1().NetworkPolicies(r.namespace()).Create(ctx, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "guard"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "guarded"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"friend": "yes"}}}},
				Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &http}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("make the policy: %w", err)
	}
	if err := r.lets(ctx, to, true, false); err != nil {
		return "", fmt.Errorf("with the policy: %w", err)
	}
	if err := r.kube.NetworkingV1().NetworkPolicies(r.namespace()).Delete(ctx, "guard", metav1.DeleteOptions{}); err != nil {
		return "", fmt.Errorf("remove the policy: %w", err)
	}
	if err := r.lets(ctx, to, true, true); err != nil {
		return "", fmt.Errorf("after the policy was removed: %w", err)
	}
	return "one pod was allowed and another denied, and allowed again without the policy", nil
}

// lets waits until the two pods are let in or kept out as wanted: agents on nodes take a moment.
func (r *run) lets(ctx context.Context, to string, friend, stranger bool) error {
	err := r.await(ctx, time.Minute, func(ctx context.Context) (bool, string, error) {
		var problems []error
		for _, c := range []struct {
			pod  string
			want bool
		}{{"friend", friend}, {"stranger", stranger}} {
			why, err := r.connects(ctx, c.pod, to)
			switch {
			case err != nil:
				return false, "", err
			case c.want && why != "":
				problems = append(problems, fmt.Errorf("the %s is kept out (%s)", c.pod, why))
			case !c.want && why == "":
				problems = append(problems, fmt.Errorf("the %s is allowed", c.pod))
			}
		}
		return len(problems) == 0, "", errors.Join(problems...)
	})
	return err
}
