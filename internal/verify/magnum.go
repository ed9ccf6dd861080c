package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/certificates"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

// errNever ends a wait at once: what is waited for does not come.
var errNever = errors.New("it will not come")

// await looks until what is looked for is there. What is seen meanwhile is told when it changes; the last of it is in
// the error of a wait that was too long. An error is what one look met, and the next may not, unless it is errNever.
func (r *run) await(ctx context.Context, limit time.Duration, look func(context.Context) (done bool, seen string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := ""
	for {
		done, seen, err := look(ctx)
		if err != nil {
			if errors.Is(err, errNever) {
				return err
			}
			if ctx.Err() == nil {
				seen = err.Error()
			}
		}
		if done && err == nil {
			return nil
		}
		if seen != "" && seen != last {
			last = seen
			r.say("%s", seen)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("not within %s; last state: %s", limit, last)
			}
			return ctx.Err()
		case <-time.After(r.Poll):
		}
	}
}

// reaches waits until a cluster has a state and is as wanted.
func (r *run) reaches(ctx context.Context, id, state string, as func(*clusters.Cluster) bool) (*clusters.Cluster, error) {
	var last *clusters.Cluster
	err := r.await(ctx, r.Timeout, func(ctx context.Context) (bool, string, error) {
		k, err := clusters.Get(ctx, r.Magnum, id).Extract()
		if err != nil {
			if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
				err = fmt.Errorf("%w: the cluster is gone: %w", errNever, err)
			}
			return false, "", err
		}
		last = k
		if strings.HasSuffix(k.Status, "_FAILED") {
			return false, "", fmt.Errorf("%w: %s", errNever, told(k))
		}
		return k.Status == state && (as == nil || as(k)), told(k), nil
	})
	if err != nil {
		return nil, fmt.Errorf("the cluster is to be %s: %w", state, err)
	}
	return last, nil
}

// told is all that Magnum says of a cluster's state.
func told(k *clusters.Cluster) string {
	text := strings.TrimSuffix(k.Status+": "+k.StatusReason, ": ")
	for what, fault := range k.Faults {
		text += fmt.Sprintf("; %s: %s", what, fault)
	}
	return text
}

// connection is a cluster's API server as its administrator reaches it: Magnum signs a key that is made here and stays
// in memory, as "openstack coe cluster config" does. With proxies, one of them is asked in the API server's place, by
// the server name of the cluster.
func (r *run) connection(ctx context.Context, k *clusters.Cluster) (*rest.Config, error) {
	if k.APIAddress == "" {
		return nil, errors.New("magnum reports no api_address")
	}
	at, name := k.APIAddress, ""
	if len(r.Proxies) > 0 {
		proxy, err := answering(ctx, r.Proxies)
		if err != nil {
			return nil, err
		}
		at, name = "https://"+proxy, backend.Host(k.StackID)
	}
	key, request, err := pki.NewRequest(rand.Reader, "admin", "system:masters")
	if err != nil {
		return nil, err
	}
	ca, err := certificates.Get(ctx, r.Magnum, k.UUID).Extract()
	if err != nil {
		return nil, fmt.Errorf("ask Magnum for the cluster's authority: %w", err)
	}
	signed, err := certificates.Create(ctx, r.Magnum, certificates.CreateOpts{
		ClusterUUID: k.UUID, CSR: string(request),
	}).Extract()
	if err != nil {
		return nil, fmt.Errorf("ask Magnum to sign a certificate: %w", err)
	}
	return &rest.Config{
		Host: at, UserAgent: "jeroboam-verify", QPS: -1, Timeout: 30 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{
			ServerName: name, CAData: []byte(ca.PEM), CertData: []byte(signed.PEM), KeyData: key,
		},
	}, nil
}

// answering is the first of some addresses that takes a connection within two seconds.
func answering(ctx context.Context, addresses []string) (string, error) {
	var problems []error
	for _, address := range addresses {
		c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close() // nothing was sent
			return address, nil
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("no proxy answers: %w", errors.Join(problems...))
}
