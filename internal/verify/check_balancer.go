package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const balancedName = "balanced"

// balancer asks for a load balancer, asks it, and waits until it is given back.
func (r *run) balancer(ctx context.Context) (string, error) {
	if !r.Balancers {
		return "", skipped("the cloud's catalog has no Octavia (load-balancer)")
	}
	pods, _, err := r.servers(ctx)
	if err != nil {
		return "", err
	}
	services := r.kube.CoreV1().Services(r.namespace())
	began := r.Now()
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: balancedName},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": serverName},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: port(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("make the service: %w", err)
	}
	var at string
	err = r.await(ctx, min(r.Timeout, 10*time.Minute), func(ctx context.Context) (bool, string, error) {
		s, err := services.Get(ctx, balancedName, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		for _, in := range s.Status.LoadBalancer.Ingress {
			at = in.IP + in.Hostname
		}
		return at != "", "the service has no address yet", nil
	})
	if err != nil {
		return "", fmt.Errorf("the service's address: %w%s", err, r.warnings(ctx))
	}
	if err := r.await(ctx, 3*time.Minute, func(ctx context.Context) (bool, string, error) { return answers(ctx, at, pods) }); err != nil {
		return "", fmt.Errorf("http://%s: %w", at, err)
	}
	seen := fmt.Sprintf("http://%s answered after %.0f s", at, r.Now().Sub(began).Seconds())
	if err := services.Delete(ctx, balancedName, metav1.DeleteOptions{}); err != nil {
		return "", fmt.Errorf("remove the service: %w", err)
	}
	err = r.await(ctx, 5*time.Minute, func(ctx context.Context) (bool, string, error) {
		_, err := services.Get(ctx, balancedName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, "the load balancer is not given back yet", err
	})
	return seen + ", and was given back", err
}

// answers asks which pod answers at an address: one of them, and not something else that happens to be there.
func answers(ctx context.Context, at string, pods []corev1.Pod) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	host := at
	if strings.Contains(at, ":") {
		host = net.JoinHostPort(at, "80")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/hostname", nil)
	if err != nil {
		return false, "", fmt.Errorf("%w: %w", errNever, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return false, "", err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return false, "", err
	}
	name := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK || !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == name }) {
		return false, "", errors.New("it answered " + answer.Status + ": " + oneLine(name) + ", which is the name of no pod behind it")
	}
	return true, "", nil
}
